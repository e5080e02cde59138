package decide

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Mode is how a server behaves. It is switched while the server runs.
type Mode struct {
	Name  string
	Delay time.Duration // of every answer, for slow
	Taken netip.Addr    // what is offered, for in-use
}

// modes are the ways to behave, with a word on each.
var modes = []struct{ name, what string }{
	{"normal", "a good server"},
	{"silent", "says nothing at all"},
	{"slow", "answers after a delay: slow 5s"},
	{"nak", "offers, then refuses every request"},
	{"offer-only", "offers, then never says another word"},
	{"nowhere", "hands out a good lease of a network (--nowhere) whose router, DNS and hosts do not exist"},
	{"wrong-subnet", "hands out the pool's addresses with a mask and a router that do not fit"},
	{"exhausted", "has no address left: no offer, and NAK for a request"},
	{"no-renew", "hands out leases and never answers a renewal"},
	{"nak-renew", "hands out leases and refuses every renewal"},
	{"in-use", "offers one address over and over, declined or not: in-use 192.168.8.9"},
}

// ParseMode reads a mode as a person writes it: a name, and for slow and
// in-use its argument.
func ParseMode(words ...string) (Mode, error) {
	if len(words) == 0 || len(words) > 2 || !known(words[0]) {
		return Mode{}, fmt.Errorf("mode %q: want one of %s", strings.Join(words, " "), ModeNames())
	}
	m := Mode{Name: words[0]}
	var err error
	switch {
	case m.Name == "slow" && len(words) == 2:
		m.Delay, err = time.ParseDuration(words[1])
	case m.Name == "in-use" && len(words) == 2:
		m.Taken, err = netip.ParseAddr(words[1])
	case len(words) == 2:
		err = fmt.Errorf("takes no argument")
	case m.Name == "slow", m.Name == "in-use":
		err = fmt.Errorf("wants an argument, as in %q", example(m.Name))
	}
	if err != nil {
		return Mode{}, fmt.Errorf("mode %q: %w", strings.Join(words, " "), err)
	}
	return m, nil
}

// ModeNames lists the modes, separated by commas.
func ModeNames() string {
	names := make([]string, 0, len(modes))
	for _, m := range modes {
		names = append(names, m.name)
	}
	return strings.Join(names, ", ")
}

// ModeHelp explains them, one a line.
func ModeHelp() string {
	var b strings.Builder
	for _, m := range modes {
		fmt.Fprintf(&b, "  %-13s %s\n", m.name, m.what)
	}
	return b.String()
}

func (m Mode) String() string {
	switch m.Name {
	case "slow":
		return "slow " + m.Delay.String()
	case "in-use":
		return "in-use " + m.Taken.String()
	}
	return m.Name
}

func known(name string) bool {
	for _, m := range modes {
		if m.name == name {
			return true
		}
	}
	return false
}

func example(name string) string {
	if name == "slow" {
		return "slow 5s"
	}
	return "in-use 192.168.8.9"
}
