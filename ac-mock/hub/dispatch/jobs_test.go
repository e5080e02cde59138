package dispatch

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/transcript"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// TestJobsTranscripts plays the scripts of testdata: a line is an event, the
// lines after it that begin with a blank are its effects.
func TestJobsTranscripts(t *testing.T) { transcript.Test(t, play) }

func play(t *testing.T, script string) string {
	var out strings.Builder
	jobs, now := NewJobs(DefaultTiming), t0
	for lines := bufio.NewScanner(strings.NewReader(script)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, " ") {
			continue
		}
		fmt.Fprintln(&out, line)
		if line == "" || line[0] == '#' {
			continue
		}
		for _, e := range step(t, jobs, &now, strings.Fields(line)) {
			fmt.Fprintln(&out, "   ", describe(e))
		}
	}
	return out.String()
}

func step(t *testing.T, jobs *Jobs, now *time.Time, w []string) []Effect {
	arg := func(i int) string {
		if i < len(w) {
			return w[i]
		}
		return ""
	}
	num := func(i int) uint64 { n, _ := strconv.ParseUint(arg(i), 10, 64); return n }
	node := func(i int) api.NodeID { return api.NodeID("02000000000" + arg(i)) }
	switch w[0] {
	case "start": // JOB NODE
		effects, err := jobs.Start(arg(1), node(2), api.ExecRequest{Argv: []string{"true"}})
		if err != nil {
			return []Effect{{Cut: "error: " + err.Error()}}
		}
		return effects
	case "output": // NODE JOB SEQ TEXT
		return jobs.Output(node(1), api.Frame{Job: arg(2), Seq: num(3), Stream: "stdout", Data: []byte(arg(4))})
	case "flood": // NODE JOB SEQ MIB
		return jobs.Output(node(1), api.Frame{Job: arg(2), Seq: num(3), Stream: "stdout", Data: make([]byte, num(4)<<20)})
	case "exit": // NODE JOB SEQ CODE
		return jobs.Exit(node(1), api.Frame{Job: arg(2), Seq: num(3), Code: int(num(4)), Error: arg(5)}, *now)
	case "taken": // JOB SEQ BYTES
		return jobs.Taken(arg(1), num(2), int(num(3)))
	case "leave": // JOB [cancel]
		return jobs.Leave(arg(1), arg(2) == "cancel")
	case "attached":
		return jobs.Attached(node(1))
	case "detached":
		jobs.Detached(node(1), *now)
		return nil
	case "after":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			t.Fatal(err)
		}
		*now = now.Add(d)
		return jobs.Tick(*now)
	}
	t.Fatalf("no such event: %q", w)
	return nil
}

func describe(e Effect) string {
	switch {
	case e.Event != nil && e.Event.Done:
		return fmt.Sprintf("operator of %s: done, code %d %s", e.Job, e.Event.Code, e.Event.Error)
	case e.Event != nil:
		return fmt.Sprintf("operator of %s: %d %.20q", e.Job, e.Seq, e.Event.Data)
	case e.Frame != nil:
		return fmt.Sprintf("node %s: %s %s %d", e.Node, e.Frame.Type, e.Frame.Job, e.Frame.Seq)
	}
	return "cut " + string(e.Node) + ": " + e.Cut
}

func TestPresenceReplacesAndFindsClones(t *testing.T) {
	const n api.NodeID = "020000000001"
	p := NewPresence(30 * time.Second)
	if got := p.Opened(n, 1, t0); got != 0 {
		t.Fatalf("first session replaces %d", got)
	}
	clone := false
	for i := uint64(2); i <= 4; i++ {
		now := t0.Add(time.Duration(i) * time.Second)
		if got := p.Opened(n, i, now); got != i-1 {
			t.Fatalf("session %d replaces %d", i, got)
		}
		if p.Closed(n, i-1) {
			t.Error("the end of a replaced session makes the node offline")
		}
		if p.Heard(n, i-1, now) {
			t.Error("a replaced session still counts")
		}
		clone = p.Answered(n, now)
		if clone != (i == 4) {
			t.Errorf("clone after %d replacements of a living session: %v", i-1, clone)
		}
	}
	if p.Closed(n, 4) != true {
		t.Error("the end of the session that counts is not seen")
	}
}

func TestPresenceForgivesRareReplacements(t *testing.T) {
	const n api.NodeID = "020000000001"
	p := NewPresence(30 * time.Second)
	for i := range uint64(10) {
		now := t0.Add(time.Duration(i) * 40 * time.Second)
		p.Opened(n, i+1, now)
		if p.Answered(n, now) {
			t.Fatalf("a node that changes its way every 40 s is called a clone at change %d", i)
		}
	}
}

func TestPresenceForgetsAClockThatWasAhead(t *testing.T) {
	const n api.NodeID = "020000000001"
	p := NewPresence(30 * time.Second)
	for i := range uint64(2) {
		p.Opened(n, i+1, t0.Add(time.Hour))
		p.Answered(n, t0.Add(time.Hour))
	}
	p.Opened(n, 3, t0)
	if p.Answered(n, t0) {
		t.Fatal("called a clone for what happened under a clock that was an hour ahead")
	}
}

func TestPresenceSilence(t *testing.T) {
	p := NewPresence(30 * time.Second)
	p.Opened("b", 1, t0)
	p.Opened("a", 2, t0)
	p.Heard("a", 2, t0.Add(20*time.Second))
	if got := p.Silent(t0.Add(30 * time.Second)); fmt.Sprint(got) != "[b]" {
		t.Errorf("silent: %v, want b", got)
	}
	p.Closed("b", 1)
	if got := p.Silent(t0.Add(50 * time.Second)); fmt.Sprint(got) != "[a]" {
		t.Errorf("silent: %v, want a", got)
	}
	p.Closed("a", 2)
	if p.Silent(t0.Add(time.Hour)); len(p.byNode) != 0 {
		t.Errorf("nodes that are gone are remembered: %v", p.byNode)
	}
}

// TestPresenceAgainstAList plays random steps, of a clock that is set back at
// times, and asks as well a list of who was heard when.
func TestPresenceAgainstAList(t *testing.T) {
	const silence = 10 * time.Second
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		p, now := NewPresence(silence), t0
		session, heard := map[api.NodeID]uint64{}, map[api.NodeID]time.Time{}
		for step := range uint64(500) {
			id := nodes(12)[random.IntN(12)]
			switch random.IntN(8) {
			case 0:
				p.Opened(id, step+1, now)
				session[id], heard[id] = step+1, now
			case 1:
				p.Answered(id, now)
			case 2:
				p.Closed(id, session[id])
				delete(session, id)
			case 3:
				now = now.Add(time.Duration(random.IntN(9)-2) * time.Second)
			default:
				if p.Heard(id, session[id], now) && session[id] != 0 {
					heard[id] = now
				}
			}
			var want []api.NodeID
			for _, id := range nodes(12) {
				if session[id] != 0 && now.Sub(heard[id]) >= silence {
					want = append(want, id)
				}
			}
			if got := p.Silent(now); !slices.Equal(got, want) {
				t.Fatalf("seed %d, step %d: silent: %v, want %v", seed, step, got, want)
			}
		}
	}
}

func FuzzDecodeFrame(f *testing.F) {
	f.Add([]byte(`{"type":"heartbeat","seq":1,"where":{"phase":"managed"}}`))
	f.Add([]byte(`{"type":"output","job":"j1","seq":1,"stream":"stdout","data":"aGk="}`))
	f.Add([]byte(`{"type":"exit","job":"j1","seq":2,"code":3}`))
	f.Add([]byte(`{"type":"exec","job":"j1"}`))
	f.Fuzz(func(t *testing.T, message []byte) {
		frame, err := DecodeFrame(message)
		if err != nil {
			return
		}
		switch frame.Type {
		case api.FrameHeartbeat, api.FrameEvent, api.FrameMetrics:
		case api.FrameStarted:
			if CheckJobID(frame.Job) != nil {
				t.Errorf("accepted: %+v", frame)
			}
		case api.FrameOutput, api.FrameExit:
			if frame.Seq == 0 || CheckJobID(frame.Job) != nil {
				t.Errorf("accepted: %+v", frame)
			}
		default:
			t.Errorf("a node may not send %q", frame.Type)
		}
	})
}

func TestDecodeFrameRefuses(t *testing.T) {
	for _, m := range []string{
		``, `{`, `[]`, `{}`, `{"type":"exec","job":"a","seq":1}`, `{"type":"ack","job":"a","seq":1}`,
		`{"type":"output","job":"a","seq":1}`, `{"type":"output","job":"a","stream":"stdout"}`,
		`{"type":"exit","job":"../a","seq":1}`, `{"type":"exit","seq":1}`, `{"type":"rotate"}`, `{"type":"rotate","rotate":null}`,
		`{"type":"started"}`, `{"type":"event","event":{}}`, `{"type":"event","seq":1}`, `{"type":"metrics"}`,
		`{"type":"exit","job":"` + strings.Repeat("x", 65) + `","seq":1}`,
		`{"type":"heartbeat","job":"` + strings.Repeat("x", api.MaxFrame) + `"}`,
	} {
		if f, err := DecodeFrame([]byte(m)); err == nil {
			t.Errorf("%.60s is accepted: %+v", m, f)
		}
	}
}

func TestDecodeBinary(t *testing.T) {
	for stream, good := range map[string]bool{"stdout": true, "": false, "stdin": false} {
		message, err := api.AppendOutput(nil, api.Frame{Type: api.FrameOutput, Job: "j", Seq: 1, Stream: stream, Data: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		if f, err := DecodeBinary(message); (err == nil) != good || err != nil && !errors.Is(err, ErrFrame) {
			t.Errorf("stream %q: %+v, %v", stream, f, err)
		}
	}
	if f, err := DecodeBinary([]byte{api.WireMux}); !errors.Is(err, ErrFrame) {
		t.Errorf("%+v, %v", f, err)
	}
}

// Pieces without any output fill the operator's queue too.
func TestEmptyPiecesAreBounded(t *testing.T) {
	jobs := NewJobs(DefaultTiming)
	if _, err := jobs.Start("j", "020000000001", api.ExecRequest{Argv: []string{"true"}}); err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= 100_000; seq++ {
		out := jobs.Output("020000000001", api.Frame{Job: "j", Seq: seq, Stream: "stdout"})
		if len(out) == 1 && out[0].Cut != "" {
			return
		}
	}
	t.Error("a node may queue 100 000 empty pieces for an operator who takes none")
}
