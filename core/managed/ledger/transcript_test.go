package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/transcript"
)

// A script has a call a line, and below it, indented, what it gave:
//
//	hand JOB HAVE | say JOB TEXT | end JOB CODE [WHY] | ack JOB SEQ
//	attach | detach SESSION | next SESSION
//	pulse HEARTBEAT SILENCE | tick AT | heard SEQ AT
func TestTranscripts(t *testing.T) {
	transcript.Test(t, func(t *testing.T, script string) string {
		var out bytes.Buffer
		p := &play{t: t, l: New(), start: time.Unix(1_000_000, 0)}
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
	l     *Ledger
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
	case "hand":
		return string(p.l.HandOut(f[1], uint64(p.number(f[2]))))
	case "say":
		p.l.Output(f[1], "stdout", []byte(f[2]))
	case "end":
		var why error
		if len(f) > 3 {
			why = errors.New(strings.Join(f[3:], " "))
		}
		return show(p.l.End(f[1], p.number(f[2]), why))
	case "ack":
		p.l.Ack(f[1], uint64(p.number(f[2])))
	case "attach":
		return fmt.Sprint("session ", p.l.Attach())
	case "detach":
		p.l.Detach(p.number(f[1]))
	case "next":
		return p.next(p.number(f[1]))
	case "pulse":
		p.pulse = NewPulse(p.span(f[1]), p.span(f[2]), p.start)
	case "tick":
		return p.tick(p.start.Add(p.span(f[1])))
	case "heard":
		p.pulse.Heard(uint64(p.number(f[1])), p.start.Add(p.span(f[2])))
	default:
		p.t.Fatalf("no such call: %q", f)
	}
	return ""
}

func (p *play) next(session int) string {
	frame, ok := p.l.Next(session)
	switch {
	case ok:
		return show(frame)
	case p.l.Attached(session):
		return "nothing yet"
	}
	return "its turn is over"
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

func show(f api.Frame) string {
	text := fmt.Sprintf("%s %s %d", f.Type, f.Job, f.Seq)
	if f.Type == api.FrameExit {
		return strings.TrimSpace(fmt.Sprintf("%s code %d %s", text, f.Code, f.Error))
	}
	return fmt.Sprintf("%s %q", text, f.Data)
}

// Of very many jobs the oldest are forgotten, the lost ones among them.
func TestEndedJobsAreRememberedUpToABound(t *testing.T) {
	l := New()
	for i := range keepEnded + 1 {
		job := fmt.Sprint("j", i)
		if got := l.HandOut(job, uint64(i%2)); got == Start {
			l.End(job, 0, nil)
		} else if got != Lost {
			t.Fatalf("%s: %s", job, got)
		}
	}
	if l.HandOut("j1", 0) != Ended || l.HandOut("j0", 0) != Start || len(l.ended) != keepEnded {
		t.Errorf("%d are remembered", len(l.ended))
	}
}

func TestTheReasonOfAnEndIsBounded(t *testing.T) {
	l := New()
	l.HandOut("j", 0)
	if f := l.End("j", 126, errors.New(strings.Repeat("\x1b", 60_000))); len(f.Error) > maxError || strings.Contains(f.Error, "\x1b") {
		t.Errorf("%d bytes", len(f.Error))
	}
}

func TestAJobThatSaysTooMuchWaits(t *testing.T) {
	l := New()
	l.HandOut("j", 0)
	l.Output("j", "stdout", make([]byte, MaxUnacked))
	if !l.Full("j") || l.Full("k") {
		t.Error("j waits, k does not")
	}
	l.Ack("j", 1)
	if l.Full("j") {
		t.Error("j may go on")
	}
}
