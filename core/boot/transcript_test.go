package boot

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/network"
	"github.com/g8os/g8os/core/network/nettoml"
	"github.com/g8os/g8os/internal/transcript"
)

// TestTranscripts runs every script of testdata. A script is blocks of
// commands, each followed by ---- and what the machine did; see command for
// the commands.
func TestTranscripts(t *testing.T) { transcript.Test(t, play) }

// play runs a script and returns it with what the machine does filled in.
func play(t *testing.T, script string) string {
	w := newWorld()
	var out strings.Builder
	for _, block := range strings.Split(strings.TrimRight(script, "\n"), "\n\n") {
		commands, _, _ := strings.Cut(block, "\n----")
		out.WriteString(commands + "\n")
		w.out.Reset()
		lines := strings.Split(commands, "\n")
		plays := false
		for i := 0; i < len(lines); i++ {
			if strings.HasPrefix(lines[i], "#") {
				continue
			}
			plays = true
			verb := strings.Fields(lines[i])
			var body []string
			for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "    ") {
				i++
				body = append(body, strings.TrimSpace(lines[i]))
			}
			command(t, w, verb, strings.Join(body, "\n"))
		}
		if plays {
			out.WriteString("----\n" + w.out.String())
		}
		out.WriteString("\n")
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

// command performs one line of a script:
//
//	links NAME[,down][,nocarrier][,other] …   the interfaces, in order; an other card of that name
//	left IFACE=ADDRESS/BITS …          an earlier g8os_core left these
//	config                             net.toml, in the indented lines that follow
//	run DURATION                       let time pass
//	ac URL over IFACE | noac …         an AC is there, or not any more
//	faults NAME …                      are armed at the ACs
//	dhcp IFACE ADDRESS/BITS LEASE | nodhcp IFACE
//	squat IFACE ADDRESS|all | nosquat …
//	answer unlock|secure|connect ok|unreachable|refused|distrusted|broken|busy
//	takes try|unlock|secure|connect DURATION   a handshake, or all of it
//	cannot IFACE | can IFACE           be made
//	disconnected KIND | volumelost     something ends
//	renew                              the AC wants another certificate
//	sessions DURATION KIND             every one from here on ends after that time
//	status | show                      print the status; show ARP and DHCP from here on
func command(t *testing.T, w *world, f []string, body string) {
	t.Helper()
	switch f[0] {
	case "links":
		w.links = nil
		for i, spec := range f[1:] {
			l := link(i, spec)
			if strings.Contains(spec, ",other") {
				delete(w.applied, l.Name)
			}
			w.links = append(w.links, l)
			w.up[l.Name] = l.Up || w.applied[l.Name].Up
		}
		w.send(LinksChanged{w.present()})
	case "config":
		c, problems := nettoml.Parse("net.toml", []byte(body))
		w.config, w.problem = c, nil
		for _, p := range problems {
			w.problem = append(w.problem, p.String())
		}
	case "left":
		for _, spec := range f[1:] {
			name, address, _ := strings.Cut(spec, "=")
			w.m.cfg.Touched = append(w.m.cfg.Touched, name)
			w.applied[name] = network.Wanted{Addresses: []netip.Prefix{netip.MustParsePrefix(address)}}
		}
	case "reload":
		w.send(ConfigRead{Config: w.config, Problems: w.problem})
	case "run":
		w.run(duration(t, f[1]))
	case "ac", "noac":
		w.ac[strings.Join(f[1:], " ")] = f[0] == "ac"
	case "faults":
		w.faults = f[1:]
	case "dhcp":
		a := netip.MustParsePrefix(f[2])
		gw := a.Masked().Addr().Next()
		w.dhcp[f[1]] = &server{address: a, id: gw, router: gw, lease: duration(t, f[3])}
	case "nodhcp":
		delete(w.dhcp, f[1])
	case "squat":
		w.squat[f[1]+" "+f[2]] = "02:00:00:00:00:99"
	case "nosquat":
		delete(w.squat, f[1]+" "+f[2])
	case "answer":
		w.answers[f[1]] = kind(t, f[2])
	case "takes":
		w.delay[f[1]] = duration(t, f[2])
	case "cannot", "can":
		w.cannot[f[1]] = f[0] == "cannot"
	case "disconnected":
		w.send(Disconnected{ID: w.m.session, Failure: kind(t, f[1])})
	case "sessions":
		life, why := duration(t, f[1]), kind(t, f[2])
		w.ends = func(id int) { w.later(w.took("connect")+life, Disconnected{ID: id, Failure: why}) }
	case "renew":
		w.send(RenewCertificate{})
	case "volumelost":
		w.send(VolumeLost{Err: "daemon died"})
	case "status":
		s := w.m.Status()
		w.say("status %s way=%s %s %s %s managed_after=%dms round=%d", s.Phase, s.Way, s.Interface, s.Address, s.Controller, s.ManagedAfterMS, s.Round)
		for _, x := range s.Warnings {
			w.say("warning %s", x)
		}
	case "show":
		w.quiet = false
	default:
		t.Fatalf("script: unknown command %q", f[0])
	}
}

func link(i int, spec string) network.Link {
	parts := strings.Split(spec, ",")
	l := network.Link{
		Name: parts[0], Index: i + 2, MAC: fmt.Sprintf("02:00:00:00:00:%02x", i+1), MTU: 1500, Kind: "device",
		Up: true, Carrier: true, Card: true, Physical: true,
	}
	for _, p := range parts[1:] {
		switch p {
		case "down":
			l.Up, l.Carrier = false, false
		case "nocarrier":
			l.Carrier = false
		case "other":
			l.Index += 100
		}
	}
	return l
}

func kind(t *testing.T, s string) Failure {
	t.Helper()
	if s == "busy" {
		return Failure{Kind: Unreachable, Err: s, After: 4 * time.Second}
	}
	kinds := map[string]FailureKind{"ok": OK, "unreachable": Unreachable, "refused": Refused, "distrusted": Distrusted, "broken": Broken}
	k, ok := kinds[s]
	if !ok {
		t.Fatalf("script: no failure %q", s)
	}
	if k == OK {
		return Failure{}
	}
	return Failure{Kind: k, Err: s}
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
