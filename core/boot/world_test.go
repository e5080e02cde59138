package boot

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/core/network"
	"github.com/g8os/g8os/core/network/conflict"
	"github.com/g8os/g8os/core/network/lease"
	"github.com/g8os/g8os/core/network/nettoml"
)

// world is what surrounds a machine in a transcript: it answers effects after
// fixed delays, in virtual time, and writes down both sides.
type world struct {
	m       *Machine
	now     time.Time
	start   time.Time
	queue   []pending
	seq     int
	out     strings.Builder
	quiet   bool // leave ARP and DHCP traffic out of the transcript
	links   []network.Link
	config  nettoml.Config
	problem []string

	ac      map[string]bool          // "URL over IFACE": an AC is there
	faults  []string                 // armed at every AC
	dhcp    map[string]*server       // by interface
	squat   map[string]string        // "IFACE ADDRESS": MAC of whoever has it
	answers map[string]Failure       // unlock, secure, connect: how they end
	delay   map[string]time.Duration // how long these take
	renew   time.Duration            // life of a certificate until renewal
	ends    func(id int)             // what becomes of a session, if not nothing
	applied map[string]network.Wanted
	cannot  map[string]bool // virtual interfaces that cannot be made
	up      map[string]bool // interfaces that somebody else holds up or has no cable
}

// server is a DHCP server with one address to give.
type server struct {
	address netip.Prefix
	id      netip.Addr
	router  netip.Addr
	lease   time.Duration
}

type pending struct {
	at  time.Time
	seq int
	ev  Event
}

func newWorld() *world {
	t0 := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	return &world{
		m: New(Config{
			Hostname: "n1", Seed: 7, Timing: DefaultTiming(), Fallback: "https://10.254.254.254:8966",
		}),
		now: t0, start: t0, quiet: true, renew: 60 * time.Hour,
		ac: map[string]bool{}, dhcp: map[string]*server{}, squat: map[string]string{},
		answers: map[string]Failure{}, delay: map[string]time.Duration{}, applied: map[string]network.Wanted{},
		up: map[string]bool{}, cannot: map[string]bool{},
	}
}

func (w *world) later(d time.Duration, ev Event) {
	w.seq++
	w.queue = append(w.queue, pending{w.now.Add(d), w.seq, ev})
}

// send steps the machine now.
func (w *world) send(ev Event) {
	before := w.m.Status()
	for _, e := range w.m.Step(ev, w.now) {
		w.perform(e)
	}
	after := w.m.Status()
	if before.Phase != after.Phase || before.WaitsFor != after.WaitsFor {
		w.say("-- %s: %s", after.Phase, after.WaitsFor)
	}
}

// run lets virtual time pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for range 100000 {
		at, ev := end.Add(1), Event(Tick{})
		if next := w.m.Next(); !next.IsZero() && next.Before(at) {
			at = next
		}
		slices.SortStableFunc(w.queue, func(a, b pending) int {
			if c := a.at.Compare(b.at); c != 0 {
				return c
			}
			return a.seq - b.seq
		})
		if len(w.queue) > 0 && !w.queue[0].at.After(at) {
			at, ev = w.queue[0].at, w.queue[0].ev
			if !at.After(end) {
				w.queue = w.queue[1:]
			}
		}
		if at.After(end) {
			w.now = end
			return
		}
		if at.After(w.now) {
			w.now = at
		}
		w.send(ev)
	}
	panic("the machine does not come to rest: Next stays in the past")
}

func (w *world) say(format string, args ...any) {
	fmt.Fprintf(&w.out, "%8.3f  %s\n", w.now.Sub(w.start).Seconds(), fmt.Sprintf(format, args...))
}

// perform answers one effect.
func (w *world) perform(e Effect) {
	const soon = time.Millisecond
	switch e := e.(type) {
	case ReadConfig:
		w.later(soon, ConfigRead{Config: w.config, Problems: w.problem})
	case Ensure:
		w.say("ensure %s %s", e.Interface.Kind, e.Interface.Name)
		if w.cannot[e.Interface.Name] {
			w.later(soon, Ensured{Interface: e.Interface.Name, Err: e.Interface.Name + " could not be made"})
			return
		}
		if !slices.ContainsFunc(w.links, func(l network.Link) bool { return l.Name == e.Interface.Name }) {
			w.links = append(w.links, network.Link{
				Name: e.Interface.Name, Index: 100 + len(w.links), MAC: "02:00:00:00:01:00", Up: true, Carrier: true, Kind: string(e.Interface.Kind),
			})
		}
		w.later(soon, LinksChanged{w.present()})
		w.later(soon, Ensured{Interface: e.Interface.Name})
	case Remove:
		w.say("remove %s", e.Interface)
		w.links = slices.DeleteFunc(w.links, func(l network.Link) bool { return l.Name == e.Interface })
		w.later(soon, LinksChanged{w.present()})
	case Apply:
		w.say("apply %s %v routes %v dns %v", e.Interface, e.Wanted.Addresses, routes(e.Wanted.Routes), e.Wanted.DNS)
		w.apply(e)
		w.later(soon, Applied{ID: e.ID, Interface: e.Interface})
	case Listen:
		if !w.quiet {
			w.say("listen %s arp %v dhcp %v", e.Interface, e.ARP, e.DHCP)
		}
	case SendARP:
		w.arp(e)
	case SendDHCP:
		w.dhcpServer(e)
	case Try:
		w.try(e)
	case Unlock:
		w.say("unlock prove=%v", e.Prove)
		w.later(w.took("unlock"), Unlocked{ID: e.ID, NodeID: "020000000001", Failure: w.answers["unlock"]})
	case Secure:
		w.say("secure renew=%v", e.Renew)
		w.later(w.took("secure"), Secured{ID: e.ID, RenewAt: w.now.Add(w.renew), Failure: w.answers["secure"]})
	case StartSSH:
		w.say("start sshd")
		w.later(soon, SSHStarted{})
	case Connect:
		w.say("connect %d over %s %s from %s", e.ID, e.Path.Way, e.Path.Interface, e.Path.Address)
		if w.took("connect") > e.Timeout {
			w.say("connect is late after %s", e.Timeout)
			w.later(e.Timeout, Connected{ID: e.ID, Failure: Failure{Kind: Unreachable, Err: "TLS: no answer in time", Late: true}})
			return
		}
		w.later(w.took("connect"), Connected{ID: e.ID, Failure: w.answers["connect"]})
		if w.ends != nil {
			w.ends(e.ID)
		}
	case Disconnect:
		w.say("disconnect %d", e.ID)
	case Remember:
		w.say("remember %s", e.Address)
	default:
		panic(fmt.Sprintf("effect %T has no answer in the world", e))
	}
}

// apply puts on an interface what is wanted. One that nobody wants up any more
// goes down, as links gives it back, and with it its carrier.
func (w *world) apply(e Apply) {
	w.applied[e.Interface] = e.Wanted
	for i := range w.links {
		if l := &w.links[i]; l.Name == e.Interface && l.Up != e.Wanted.Up && !w.up[l.Name] {
			l.Up, l.Carrier = e.Wanted.Up, e.Wanted.Up
			w.later(time.Millisecond, LinksChanged{w.present()})
		}
	}
}

// present is the interfaces with what is on them, as the kernel would tell.
func (w *world) present() []network.Link {
	out := slices.Clone(w.links)
	for i := range out {
		out[i].Addresses = w.applied[out[i].Name].Addresses
	}
	return out
}

func (w *world) took(what string) time.Duration {
	if d := w.delay[what]; d > 0 {
		return d
	}
	return 20 * time.Millisecond
}

func routes(rs []network.Route) []string {
	var out []string
	for _, r := range rs {
		out = append(out, fmt.Sprintf("%s via %s metric %d", r.To, r.Via, r.Metric))
	}
	return out
}

func (w *world) try(e Try) {
	key := e.Path.Controller + " over " + e.Path.Interface
	w.say("try %s from %s (%s)", key, e.Path.Address.Addr(), e.Path.Way)
	if d := w.delay["try"]; w.ac[key] && d > e.Timeout {
		w.say("try is late after %s", e.Timeout)
		w.later(e.Timeout, Tried{ID: e.ID, Err: "TLS: no answer in time", Late: true})
	} else if w.ac[key] {
		w.later(max(5*time.Millisecond, d), Tried{ID: e.ID, Faults: w.faults})
	} else {
		w.later(e.Timeout, Tried{ID: e.ID, Err: "no answer"})
	}
}

// arp lets a squatter answer probes.
func (w *world) arp(e SendARP) {
	if !w.quiet {
		w.say("arp %s %s", e.Interface, e.Packet)
	}
	by, all := w.squat[e.Interface+" all"]
	if one, ok := w.squat[e.Interface+" "+e.Packet.TargetIP.String()]; ok {
		by, all = one, true
	}
	if all && e.Packet.IsProbe() {
		w.later(2*time.Millisecond, HeardARP{e.Interface, conflict.Packet{
			Op: conflict.Reply, SenderMAC: by, SenderIP: e.Packet.TargetIP, TargetMAC: e.Packet.SenderMAC, TargetIP: e.Packet.TargetIP,
		}})
	}
}

// dhcpServer answers as a plain server would.
func (w *world) dhcpServer(e SendDHCP) {
	m := e.Send.Message
	w.say("dhcp %s send %s", e.Interface, m.Type)
	s := w.dhcp[e.Interface]
	if s == nil {
		return
	}
	answer := lease.Message{
		XID: m.XID, MAC: m.MAC, YourIP: s.address.Addr(), Bits: s.address.Bits(), ServerID: s.id, Lease: s.lease,
	}
	if s.router.IsValid() {
		answer.Routers = []netip.Addr{s.router}
	}
	switch m.Type {
	case lease.Discover:
		answer.Type = lease.Offer
	case lease.Request:
		answer.Type = lease.Ack
	default:
		return
	}
	w.later(3*time.Millisecond, HeardDHCP{e.Interface, answer})
}
