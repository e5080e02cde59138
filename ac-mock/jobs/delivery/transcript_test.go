package delivery

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/transcript"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// TestTranscripts plays the scripts of testdata: a line is an event, the lines
// after it that begin with a blank are its effects.
func TestTranscripts(t *testing.T) { transcript.Test(t, play) }

// player is a machine, with a store that says at once what was written.
type player struct {
	*testing.T
	m        *Machine
	now      time.Time
	revision int64
	out      strings.Builder
	deaf     bool // the store says nothing
}

func play(t *testing.T, script string) string {
	p := &player{T: t, m: New("ac1"), now: t0, revision: 1}
	for lines := bufio.NewScanner(strings.NewReader(script)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, " ") {
			continue
		}
		fmt.Fprintln(&p.out, line)
		if line != "" && line[0] != '#' {
			p.show(p.step(strings.Fields(line)))
		}
	}
	return p.out.String()
}

func nodeOf(s string) api.NodeID { return api.NodeID("02000000000" + s) }

func (p *player) step(w []string) []Effect {
	arg := func(i int) string { return append(w, make([]string, 9)...)[i] }
	num := func(i int) uint64 { n, _ := strconv.ParseUint(arg(i), 10, 64); return n }
	p.revision++
	f := api.Frame{Job: arg(2), Seq: num(3)}
	switch w[0] {
	case "made": // JOB NODES [queue=Q] [parallel=N] [ttl=D]
		return p.m.Made(p.spec(w), p.revision, nil, p.now)
	case "attached":
		return p.m.Attached(nodeOf(arg(1)), p.now)
	case "detached":
		p.m.Detached(nodeOf(arg(1)))
	case "started": // NODE JOB
		return p.m.Started(nodeOf(arg(1)), f, p.now)
	case "output": // NODE JOB SEQ
		f.Stream, f.Data = "stdout", []byte("x")
		return p.m.Output(nodeOf(arg(1)), f, p.now)
	case "stored": // NODE JOB SEQ
		return p.m.Stored(arg(2), nodeOf(arg(1)), num(3), p.now)
	case "exit": // NODE JOB SEQ STATE CODE
		f.State, f.Code = api.JobState(arg(4)), int(num(5))
		return p.m.Exit(nodeOf(arg(1)), f, p.now)
	case "cancelled": // JOB [NODE]
		if arg(2) == "" {
			return p.m.Cancelled(arg(1), "", p.now)
		}
		return p.m.Cancelled(arg(1), nodeOf(arg(2)), p.now)
	case "drained": // NODE yes|no
		return p.m.Drained(nodeOf(arg(1)), arg(2) == "yes", p.now)
	case "gone": // NODE WHY
		return p.m.Gone(nodeOf(arg(1)), arg(2), p.now)
	case "forgotten":
		return p.m.Forgotten(arg(1), p.now)
	case "deaf": // what is written is not heard of
		p.deaf = arg(1) == "yes"
	case "done": // JOB NODE STATE: another AC says so
		return p.m.Done(arg(1), nodeOf(arg(2)), Result{State: api.JobState(arg(3)), AC: "ac2"}, p.revision, p.now)
	case "after":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			p.Fatal(err)
		}
		p.now = p.now.Add(d)
		return p.m.Tick(p.now, func(id api.NodeID) bool { return id == nodeOf(arg(2)) && arg(2) != "" })
	default:
		p.Fatalf("no such event: %q", w)
	}
	return nil
}

func (p *player) spec(w []string) Spec {
	s := Spec{ID: w[1], Created: p.now, Expires: p.now.Add(30 * time.Second), Request: api.JobRequest{Exec: api.ExecRequest{Argv: []string{"true"}}}}
	for _, n := range strings.Split(w[2], ",") {
		s.Nodes = append(s.Nodes, nodeOf(n))
	}
	for _, option := range w[3:] {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "queue":
			s.Request.Queue = value
		case "parallel":
			s.Request.Parallel, _ = strconv.Atoi(value)
		case "ttl":
			d, _ := time.ParseDuration(value)
			s.Expires, s.Request.TTLMS = p.now.Add(d), d.Milliseconds()
		}
	}
	return s
}

// show writes the effects, and what follows when the store has them.
func (p *player) show(effects []Effect) {
	for _, e := range effects {
		if e.Changed {
			continue
		}
		fmt.Fprintln(&p.out, "   ", describe(e))
	}
	for _, e := range effects {
		if p.deaf || e.Frame != nil || e.Changed {
			continue
		}
		p.revision++
		switch {
		case e.Result != nil:
			p.show(p.m.Done(e.Job, e.Node, *e.Result, p.revision, p.now))
		case e.Began != nil:
			p.show(p.m.Began(e.Job, e.Node, *e.Began, p.revision))
		case e.Turns != nil:
			p.show(p.m.Turns(e.Job, e.Turns, p.revision, p.now))
		}
	}
}

func describe(e Effect) string {
	at := strings.TrimPrefix(string(e.Node), "02000000000")
	switch {
	case e.Frame != nil:
		return strings.TrimSpace(fmt.Sprintf("to %s: %s %s %d %s", at, e.Frame.Type, e.Frame.Job, e.Frame.Seq, e.Frame.State))
	case e.Piece != nil:
		return fmt.Sprintf("keep %s of %s: %d", e.Job, at, e.Piece.Seq)
	case e.Result != nil:
		return strings.TrimSpace(fmt.Sprintf("write: %s on %s is %s, code %d %s", e.Job, at, e.Result.State, e.Result.Code, e.Result.Error))
	case e.Began != nil:
		return fmt.Sprintf("write: %s on %s has begun", e.Job, at)
	case e.Turns != nil:
		return fmt.Sprintf("write: turn of %s: %v", e.Job, e.Turns)
	}
	return fmt.Sprintf("is there a job %s? %s has %d", e.Job, at, e.Unknown)
}

func BenchmarkFanOut(b *testing.B) {
	nodes := make([]api.NodeID, 1000)
	m := New("ac1")
	for i := range nodes {
		nodes[i] = api.NodeID(fmt.Sprintf("020000%06x", i))
		m.Attached(nodes[i], t0)
	}
	revision := int64(1)
	for b.Loop() {
		revision++
		id := fmt.Sprint("j", revision)
		m.Made(Spec{ID: id, Nodes: nodes, Expires: t0.Add(time.Hour)}, revision, nil, t0)
		for _, n := range nodes {
			revision++
			m.Exit(n, api.Frame{Job: id, Seq: 1, State: api.JobSuccess}, t0)
			m.Done(id, n, Result{State: api.JobSuccess, Seq: 1}, revision, t0)
		}
		m.Forgotten(id, t0)
	}
}
