package ledger

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/g8os/g8os/core/api"
)

// grid is a node with a disk, and an AC with its own, of which each may die at
// any moment.
type grid struct {
	*play
	session int
	ran     map[string]int
	ac      map[string]*record
	ids     []string
	wire    []api.Frame // sent, and not arrived
}

// record is what the AC's disk has of a job.
type record struct {
	last  uint64
	began bool
	ended bool
	lost  bool
	text  string
}

func (g *grid) handOut(t *rapid.T, id string) {
	r := g.ac[id]
	began := ""
	if r.began {
		began = "began"
	}
	switch g.l.HandOut(id, r.last, r.began, start) {
	case Start:
		g.ran[id]++
		g.call([]string{"begin", id})
	case Lost:
		g.call([]string{"safe", id})
	}
	if g.ran[id] > 1 {
		t.Fatalf("job %s was started %d times; the AC has %d frames, %s", id, g.ran[id], r.last, began)
	}
}

// send moves a frame to the wire.
func (g *grid) send() bool {
	f, ok := g.l.Next(g.session)
	if !ok {
		return false
	}
	if f.Type == api.FrameOutput {
		text, has := g.said[f.Job][f.Seq]
		if !has {
			g.l.Sent(g.session, f.Job, 1<<60, 0)
			return true
		}
		g.l.Sent(g.session, f.Job, f.Seq, len(text))
		f.Data = []byte(text)
	}
	g.wire = append(g.wire, f)
	return true
}

// arrive has the AC take a frame, which is on its disk then, and acknowledge it.
func (g *grid) arrive(ack bool) {
	if len(g.wire) == 0 {
		return
	}
	f := g.wire[0]
	g.wire = g.wire[1:]
	r := g.ac[f.Job]
	switch {
	case f.Type == api.FrameStarted:
		r.began = true
		return
	case f.Seq > r.last:
		r.last = f.Seq
		r.text += string(f.Data)
		r.ended = r.ended || f.Type == api.FrameExit
		r.lost = r.lost || f.State == api.JobLost
	}
	if ack {
		g.call([]string{"ack", f.Job, fmt.Sprint(r.last)})
	}
}

func (g *grid) reconnect(t *rapid.T) {
	g.wire = nil
	g.session = g.l.Attach()
	for _, id := range g.ids {
		if !g.ac[id].ended {
			g.handOut(t, id)
		}
	}
}

// Whatever dies when: a job is started once at most, the AC is told of its end,
// and has all that it said unless the power was cut.
func TestAnyInterleaving(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := &grid{play: newPlay(t), ran: map[string]int{}, ac: map[string]*record{}}
		g.session = g.l.Attach()
		power := false
		some := func(rt *rapid.T) string { return rapid.SampledFrom(g.ids).Draw(rt, "job") }
		rt.Repeat(map[string]func(*rapid.T){
			"new": func(rt *rapid.T) {
				id := fmt.Sprint("j", len(g.ids))
				g.ids, g.ac[id] = append(g.ids, id), &record{}
				g.handOut(rt, id)
			},
			"again": func(rt *rapid.T) {
				if len(g.ids) > 0 {
					if id := some(rt); !g.ac[id].ended {
						g.handOut(rt, id)
					}
				}
			},
			"say": func(rt *rapid.T) {
				if len(g.ids) > 0 {
					g.say(some(rt), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "word"))
				}
			},
			"end": func(rt *rapid.T) {
				if len(g.ids) > 0 {
					if id := some(rt); g.l.Runs(id) {
						g.l.End(id, Result{State: api.JobSuccess, At: start})
						g.call([]string{"safe", id})
					}
				}
			},
			"send":         func(*rapid.T) { g.send() },
			"arrive":       func(*rapid.T) { g.arrive(true) },
			"ack is lost":  func(*rapid.T) { g.arrive(false) },
			"cut":          func(rt *rapid.T) { g.reconnect(rt) },
			"core killed":  func(rt *rapid.T) { g.restart(false); g.reconnect(rt) },
			"power is cut": func(rt *rapid.T) { power = true; g.restart(true); g.reconnect(rt) },
		})
		for _, id := range g.ids {
			if g.l.Runs(id) {
				g.l.End(id, Result{State: api.JobSuccess, At: start})
				g.call([]string{"safe", id})
			}
		}
		g.reconnect(rt)
		for g.send() {
			g.arrive(true)
		}
		for _, id := range g.ids {
			r, said := g.ac[id], ""
			for seq := uint64(1); g.said[id][seq] != ""; seq++ {
				said += g.said[id][seq]
			}
			if !r.ended || g.ran[id] != 1 {
				rt.Fatalf("job %s: ran %d times, told %v", id, g.ran[id], r.ended)
			}
			if !power && (r.text != said || r.lost) {
				rt.Fatalf("job %s said %q, the AC has %q, lost %v", id, said, r.text, r.lost)
			}
		}
	})
}
