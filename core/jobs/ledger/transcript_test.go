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
//	hand JOB HAVE [began] | begin JOB | say JOB TEXT | end JOB CODE [WHY] | safe JOB | ack JOB SEQ | cancel JOB
//	attach | detach SESSION | next SESSION | drop JOB SEQ (its output up to there is gone)
//	note LEVEL TEXT | kept SEQ | acked SEQ
//	crash (g8os_core starts again; jobs that ran are adopted) | power (those are lost)
func TestTranscripts(t *testing.T) {
	transcript.Test(t, func(t *testing.T, script string) string {
		var out bytes.Buffer
		p := newPlay(t)
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

var start = time.Unix(1_000_000, 0)

// play is a ledger with the disk that belongs to it.
type play struct {
	t    *testing.T
	l    *Ledger
	said map[string]map[uint64]string
	disk map[string]*Restored
	jobs []string // in the order in which they came to the disk
}

func newPlay(t *testing.T) *play {
	return &play{t: t, l: New(0), said: map[string]map[uint64]string{}, disk: map[string]*Restored{}}
}

func (p *play) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *play) call(f []string) string {
	switch f[0] {
	case "hand":
		return string(p.l.HandOut(f[1], uint64(p.number(f[2])), len(f) > 3, start))
	case "begin":
		p.keep(Restored{ID: f[1], Started: start})
		p.l.Begin(f[1], start)
	case "say":
		p.say(f[1], f[2])
	case "drop":
		for seq := range p.said[f[1]] {
			if seq <= uint64(p.number(f[2])) {
				delete(p.said[f[1]], seq)
			}
		}
	case "end":
		var why error
		if len(f) > 3 {
			why = errors.New(strings.Join(f[3:], " "))
		}
		return show(p.l.End(f[1], Result{State: api.JobError, Code: p.number(f[2]), Err: why, At: start}))
	case "safe":
		p.keep(Restored{ID: f[1], Exit: p.l.Exit(f[1])})
		p.l.Safe(f[1])
	case "ack":
		if p.l.Ack(f[1], uint64(p.number(f[2]))) {
			p.disk[f[1]].Told = true
			return "told"
		}
	case "cancel":
		if exit, unknown := p.l.Cancel(f[1], start); unknown {
			return show(exit)
		}
		return "known"
	default:
		return p.session(f)
	}
	return ""
}

func (p *play) session(f []string) string {
	switch f[0] {
	case "attach":
		return fmt.Sprint("session ", p.l.Attach())
	case "detach":
		p.l.Detach(p.number(f[1]))
	case "next":
		return p.next(p.number(f[1]))
	case "note":
		ev, dropped := p.l.Note(api.NodeEvent{Level: p.number(f[1]), Text: f[2]})
		return fmt.Sprintf("event %d, dropped %d", ev.Seq, dropped)
	case "kept":
		p.l.EventsSafe(uint64(p.number(f[1])))
	case "acked":
		return fmt.Sprint(p.l.AckEvents(uint64(p.number(f[1]))))
	case "crash":
		p.restart(false)
	case "power":
		p.restart(true)
	default:
		p.t.Fatalf("no such call: %q", f)
	}
	return ""
}

func (p *play) keep(r Restored) {
	if p.disk[r.ID] == nil {
		p.jobs = append(p.jobs, r.ID)
	}
	p.disk[r.ID] = &r
}

func (p *play) say(job, text string) {
	seq, ok := p.l.Output(job)
	if !ok {
		return
	}
	if p.said[job] == nil {
		p.said[job] = map[uint64]string{}
	}
	p.said[job][seq] = text
	p.l.More(job, seq)
}

// restart begins another ledger with what the disk has.
func (p *play) restart(power bool) {
	p.l = New(0)
	if power {
		clear(p.said)
	}
	for _, id := range p.jobs {
		r := *p.disk[id]
		for seq := range p.said[id] {
			r.Last = max(r.Last, seq)
		}
		p.l.Restore(r)
		if power && r.Exit.Type == "" {
			p.l.End(id, Result{State: api.JobLost, Code: codeLost, Err: ErrLost, At: start})
			p.keep(Restored{ID: id, Exit: p.l.Exit(id)})
			p.l.Safe(id)
		}
	}
}

func (p *play) next(session int) string {
	f, ok := p.l.Next(session)
	switch {
	case !ok && p.l.Attached(session):
		return "nothing yet"
	case !ok:
		return "its turn is over"
	case f.Type != api.FrameOutput:
		return show(f)
	}
	for seq := f.Seq; seq <= f.Seq+100; seq++ {
		if text, ok := p.said[f.Job][seq]; ok {
			p.l.Sent(session, f.Job, seq, len(text))
			f.Seq, f.Data = seq, []byte(text)
			return show(f)
		}
	}
	p.l.Sent(session, f.Job, f.Seq+100, 0)
	return p.next(session)
}

func show(f api.Frame) string {
	text := fmt.Sprintf("%s %s %d", f.Type, f.Job, f.Seq)
	switch f.Type {
	case api.FrameExit:
		if f.Again {
			text += " again"
		}
		return strings.TrimSpace(fmt.Sprintf("%s %s code %d %s", text, f.State, f.Code, f.Error))
	case api.FrameStarted:
		return "started " + f.Job
	case api.FrameEvent:
		return fmt.Sprintf("event %d level %d %s", f.Seq, f.Event.Level, f.Event.Text)
	}
	return fmt.Sprintf("%s %q", text, f.Data)
}

// Of very many jobs that are told the oldest are forgotten, and none that is not.
func TestToldJobsAreRememberedUpToABound(t *testing.T) {
	l := New(0)
	now := start
	for i := range Remembered + 2 {
		job := fmt.Sprint("j", i)
		if got := l.HandOut(job, 0, false, now); got != Start {
			t.Fatalf("%s: %s", job, got)
		}
		l.End(job, Result{At: now})
		l.Safe(job)
		if i > 0 {
			l.Ack(job, 1)
		}
	}
	if gone := l.Forget(now); len(gone) != 1 || gone[0] != "j1" {
		t.Errorf("forgotten: %v", gone)
	}
	if l.HandOut("j0", 0, false, now) != Ended || l.HandOut("j2", 0, false, now) != Ended || l.HandOut("j1", 0, false, now) != Start {
		t.Error("another was forgotten")
	}
	if gone := l.Forget(now.Add(Age + time.Second)); len(gone) != Remembered-1 {
		t.Errorf("%d are forgotten when they are old", len(gone))
	}
}

func TestTheReasonOfAnEndIsBounded(t *testing.T) {
	l := New(0)
	l.HandOut("j", 0, false, start)
	if f := l.End("j", Result{Err: errors.New(strings.Repeat("\x1b", 60_000))}); len(f.Error) > maxError || strings.Contains(f.Error, "\x1b") {
		t.Errorf("%d bytes", len(f.Error))
	}
}

// What is on its way to the AC of one job is bounded; others go on.
func TestAWindowIsKept(t *testing.T) {
	p := newPlay(t)
	for _, job := range []string{"loud", "quiet"} {
		p.l.HandOut(job, 0, false, start)
	}
	session := p.l.Attach()
	for range 10 {
		p.say("loud", strings.Repeat("x", Window/4))
	}
	sent := 0
	for ; p.next(session) != "nothing yet"; sent++ {
	}
	if sent != 4 {
		t.Errorf("%d pieces of a quarter of the window were sent without an acknowledgement", sent)
	}
	p.say("quiet", "word")
	if got := p.next(session); got != `output quiet 1 "word"` {
		t.Errorf("the other job: %s", got)
	}
	p.l.Ack("loud", 2)
	if got := p.next(session); !strings.HasPrefix(got, "output loud 5") {
		t.Errorf("after an acknowledgement: %.40s", got)
	}
}

// A job that is loud keeps neither another one, nor an end, nor an event waiting.
func TestJobsTakeTurns(t *testing.T) {
	p := newPlay(t)
	for _, job := range []string{"loud", "quiet", "short"} {
		p.l.HandOut(job, 0, false, start)
	}
	for range 100 {
		p.say("loud", "x")
	}
	p.say("quiet", "y")
	session := p.l.Attach()
	p.l.End("short", Result{At: start})
	p.l.Safe("short")
	p.l.Note(api.NodeEvent{Level: 9, Text: "e"})
	p.l.EventsSafe(1)
	var got []string
	for range 4 {
		got = append(got, strings.Join(strings.Fields(p.next(session))[:2], " "))
	}
	if want := "event 1|exit short|output loud|output quiet"; strings.Join(got, "|") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Of too many events the oldest of the lowest level goes.
func TestEventsAreBounded(t *testing.T) {
	l := New(0)
	l.Note(api.NodeEvent{Level: api.LevelCritical})
	l.Note(api.NodeEvent{Level: api.LevelWarning})
	for range KeptEvents - 2 {
		l.Note(api.NodeEvent{Level: api.LevelOpsError})
	}
	if _, dropped := l.Note(api.NodeEvent{Level: api.LevelOpsError}); dropped != 2 {
		t.Errorf("event %d was dropped, want the warning", dropped)
	}
	if _, dropped := l.Note(api.NodeEvent{Level: api.LevelPublic}); dropped != KeptEvents+2 {
		t.Errorf("event %d was dropped, want the one that warns of nothing", dropped)
	}
	ev, _ := l.Note(api.NodeEvent{Text: "a\nb\x1b" + strings.Repeat("ü", 2000), Detail: make([]byte, 10_000)})
	if strings.ContainsAny(ev.Text, "\n\x1b") || len(ev.Text) > maxEventText+4 || ev.Detail != nil {
		t.Errorf("%d bytes of text, %d of detail", len(ev.Text), len(ev.Detail))
	}
}
