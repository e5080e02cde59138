package order

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/internal/transcript"
)

// TestTranscripts plays scripts. A line is a time, and what happened then:
//
//	1.5s ready db            5s ended switch exit status 1        9s tick
//
// and what the machine does follows, indented. The first line names the
// services: "services db switch<db docker", each with 10 s to become ready.
func TestTranscripts(t *testing.T) {
	transcript.Test(t, func(t *testing.T, script string) string {
		var m *Machine
		var out strings.Builder
		for line := range strings.Lines(script) {
			line = strings.TrimRight(line, "\n")
			if strings.HasPrefix(line, "  ") {
				continue
			}
			out.WriteString(line + "\n")
			f := strings.Fields(line)
			switch {
			case len(f) == 0 || f[0] == "#":
			case f[0] == "services":
				m = New(services(f[1:]))
			default:
				play(t, m, f, &out)
			}
		}
		return out.String()
	})
}

func services(words []string) (all []Service) {
	for _, w := range words {
		name, after, _ := strings.Cut(w, "<")
		s := Service{Name: name, Limit: 10 * time.Second}
		if after != "" {
			s.After = strings.Split(after, ",")
		}
		all = append(all, s)
	}
	return all
}

func play(t *testing.T, m *Machine, f []string, out *strings.Builder) {
	now, err := time.ParseDuration(f[0])
	if err != nil {
		t.Fatal(err)
	}
	e := Event{Kind: Kind(f[1])}
	if len(f) > 2 {
		e.Name, e.Why = f[2], strings.Join(f[3:], " ")
	}
	effects, next := m.Step(now, e)
	for _, x := range effects {
		fmt.Fprintf(out, "  %s %s\n", x.Kind, x.Name)
	}
	fmt.Fprintf(out, "  -- %s", m.Status())
	if next != 0 {
		fmt.Fprintf(out, "; again at %v", next)
	}
	out.WriteString("\n")
}
