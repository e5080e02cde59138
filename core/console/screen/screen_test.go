package screen

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/transcript"
)

// TestTranscripts runs every script of testdata: blocks of commands, each
// followed by ---- and what is drawn. See command.
func TestTranscripts(t *testing.T) { transcript.Test(t, play) }

type world struct {
	t    *testing.T
	v    View
	calm Calm
	out  strings.Builder
}

func play(t *testing.T, script string) string {
	w := &world{t: t}
	var out strings.Builder
	for _, b := range strings.Split(strings.TrimRight(script, "\n"), "\n\n---\n\n") {
		commands, _, _ := strings.Cut(b, "\n----")
		w.out.Reset()
		for _, line := range strings.Split(commands, "\n") {
			if verb, rest, _ := strings.Cut(line, " "); !strings.HasPrefix(line, "#") {
				w.command(verb, rest)
			}
		}
		fmt.Fprintf(&out, "%s\n----\n%s\n---\n\n", commands, w.out.String())
	}
	return strings.TrimSuffix(out.String(), "\n---\n\n")
}

// command performs one line:
//
//	host|version|kernel|state|tools|logs|daemon|notice TEXT     facts
//	card NAME MAC down|nocarrier|link [virtual] ADDRESS,…       nocards: none
//	status PHASE [WAITS]    error|key|warning TEXT    ac URL WAY INTERFACE ADDRESS
//	waiting DURATION
//	draw WIDTH HEIGHT       serial DURATION: a step every 100 ms, for so long
func (w *world) command(verb, rest string) {
	v, f := &w.v, strings.Fields(rest)
	texts := map[string]*string{"host": &v.Hostname, "version": &v.Version, "kernel": &v.Kernel, "state": &v.State, "tools": &v.Tools, "logs": &v.Logs, "daemon": &v.Daemon}
	if v.Status != nil {
		s := *v.Status
		v.Status = &s
		texts["error"], texts["key"] = &s.LastError, &s.Fingerprint
	}
	switch verb {
	case "notice":
		v.Notices = append(v.Notices, rest)
	case "card":
		w.v.Cards = append(w.v.Cards, card(f))
	case "nocards":
		v.Cards = nil
	case "status":
		s := api.Status{NodeID: "02aabbccddee", Fingerprint: "K7QX-M2PA"}
		if v.Status != nil {
			s = *v.Status
		}
		s.Phase = f[0]
		s.WaitsFor = strings.Join(f[1:], " ")
		v.Status, v.Waiting = &s, 0
	case "warning":
		v.Status.Warnings = append(v.Status.Warnings, rest)
	case "ac":
		v.Status.Controller, v.Status.Way, v.Status.Interface, v.Status.Address = f[0], f[1], f[2], f[3]
	case "waiting":
		v.Waiting = w.duration(rest)
	case "draw":
		var width, height int
		fmt.Sscan(rest, &width, &height)
		w.draw(width, height)
	case "serial":
		w.serial(w.duration(rest))
	default:
		if texts[verb] == nil {
			w.t.Fatalf("no such command: %s", verb)
		}
		*texts[verb] = strings.Trim(rest, `"`)
	}
}

func card(f []string) Card {
	c := Card{Name: f[0], MAC: f[1], Up: f[2] != "down", Carrier: f[2] == "link", Physical: true}
	for _, x := range f[3:] {
		if x == "virtual" {
			c.Physical = false
		} else {
			c.Addresses = strings.Split(x, ",")
		}
	}
	return c
}

func (w *world) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) draw(width, height int) {
	lines := Lines(w.v, width, height)
	for _, l := range lines {
		w.out.WriteString(strings.TrimRight(fmt.Sprintf("%s|%s", []string{" ", "=", ">", "!"}[l.Style], l.Text), " ") + "\n")
		if len(l.Text) > width {
			w.t.Errorf("%d columns of %d: %s", len(l.Text), width, l.Text)
		}
	}
	if height > 0 && len(lines) > height {
		w.t.Errorf("%d lines of %d", len(lines), height)
	}
}

func (w *world) serial(d time.Duration) {
	const step = 100 * time.Millisecond
	for end := w.v.Uptime + d; w.v.Uptime < end; {
		w.v.Uptime, w.v.Waiting = w.v.Uptime+step, w.v.Waiting+step
		if text, _ := w.calm.Step(w.v.Uptime, w.v, 80); text != "" {
			fmt.Fprintf(&w.out, "%.1f s:\n%s", w.v.Uptime.Seconds(), text)
		}
	}
}

func TestNothingFromElsewhereSteersATerminal(t *testing.T) {
	v := View{Status: &api.Status{Phase: "unlock", WaitsFor: "x\x1b[2Jy", LastError: "a\x07\u009b2J\r\nb", Controller: "https://h\x1b]0;t\x07", Warnings: []string{"\x1b[31m"}}}
	v.Hostname, v.Notices, v.Cards = "h\x1b[H", []string{"\x9b"}, []Card{{Name: "e\x1b", MAC: "\x1b", Addresses: []string{"\x1b"}}}
	for _, l := range Lines(v, 80, 25) {
		for _, r := range l.Text {
			if r < ' ' || r > '~' {
				t.Errorf("%q has %q in it", l.Text, r)
			}
		}
	}
	var c Calm
	text, _ := c.Step(1, v, 80)
	if strings.ContainsAny(text, "\x1b\x07\r") {
		t.Errorf("%q", text)
	}
}

func TestANodeThatTriesInVainFallsQuiet(t *testing.T) {
	var c Calm
	written := 0
	v := View{Status: &api.Status{Phase: "network"}}
	for up := time.Duration(0); up < time.Hour; up += 500 * time.Millisecond {
		v.Cards = []Card{{Name: "eth0", Up: true, Carrier: true, Addresses: []string{fmt.Sprintf("10.254.254.%d/24", up/time.Second%7)}}}
		v.Status.WaitsFor = fmt.Sprintf("try %d", up/time.Second%50)
		text, _ := c.Step(up, v, 80)
		written += len(text)
	}
	if written > 64<<10 {
		t.Errorf("an hour in vain wrote %d bytes on the serial line, want at most 64 KiB", written)
	}
}
