package pulse

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/internal/transcript"
)

// A script has a call a line, and below it, indented, what it gave:
//
//	pulse HEARTBEAT SILENCE | tick AT | heard SEQ AT
func TestTranscripts(t *testing.T) {
	transcript.Test(t, func(t *testing.T, script string) string {
		var out bytes.Buffer
		p := &play{t: t, start: time.Unix(1_000_000, 0)}
		for line := range strings.Lines(script) {
			line = strings.TrimRight(line, "\n")
			switch {
			case line == "" || strings.HasPrefix(line, "#"):
				fmt.Fprintln(&out, line)
			case !strings.HasPrefix(line, "\t"):
				fmt.Fprintln(&out, line)
				if said := p.call(strings.Fields(line)); said != "" {
					fmt.Fprintf(&out, "\t%s\n", said)
				}
			}
		}
		return out.String()
	})
}

type play struct {
	t     *testing.T
	pulse *Pulse
	start time.Time
}

func (p *play) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *play) span(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func (p *play) call(f []string) string {
	switch f[0] {
	case "pulse":
		p.pulse = New(p.span(f[1]), p.span(f[2]), p.start)
	case "tick":
		return p.tick(p.start.Add(p.span(f[1])))
	case "heard":
		p.pulse.Heard(uint64(p.number(f[1])), p.start.Add(p.span(f[2])))
	default:
		p.t.Fatalf("no such call: %q", f)
	}
	return ""
}

func (p *play) tick(now time.Time) string {
	seq, due, err := p.pulse.Tick(now)
	switch {
	case err != nil:
		return err.Error()
	case due:
		return fmt.Sprintf("heartbeat %d, next at %s", seq, p.pulse.Next().Sub(p.start))
	}
	return fmt.Sprintf("nothing, next at %s", p.pulse.Next().Sub(p.start))
}
