package rotate

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestHowFarANodeHasCome(t *testing.T) {
	e := Entry{ID: "r1", Generation: 1, Issued: start}
	node := func(confirmed uint32, generations ...uint32) Fact {
		return Fact{State: api.NodeEnrolled, Confirmed: confirmed, Generations: generations, Issued: start, Certificate: true}
	}
	newer := node(1, 1)
	newer.Issued = start.Add(time.Second)
	revoked := newer
	revoked.Certificate = false
	retired := Fact{State: api.NodeRetired}
	answered := e
	answered.Done = true
	for _, c := range []struct {
		name string
		kind api.RotateKind
		e    Entry
		f    Fact
		want api.RotateState
	}{
		{"not asked", api.RotateUnlock, e, node(1, 1), api.RotateWaiting},
		{"share made", api.RotateUnlock, e, node(1, 1, 2), api.RotateAdded},
		{"confirmed", api.RotateUnlock, e, node(2, 1, 2), api.RotateProved},
		{"alone", api.RotateUnlock, e, node(2, 2), api.RotateRemoved},
		{"next one already under way", api.RotateUnlock, e, node(2, 2, 3), api.RotateRemoved},
		{"retired", api.RotateUnlock, e, retired, api.RotateRemoved},
		{"forgotten", api.RotateCert, e, Fact{}, api.RotateRemoved},
		{"old certificate", api.RotateCert, e, node(1, 1), api.RotateWaiting},
		{"new certificate", api.RotateCert, e, newer, api.RotateRemoved},
		{"revoked, none yet", api.RotateCert, e, revoked, api.RotateWaiting},
		{"host key", api.RotateSSH, e, node(1, 1), api.RotateWaiting},
		{"new host key", api.RotateSSH, answered, node(1, 1), api.RotateRemoved},
	} {
		if got := State(c.kind, c.e, c.f); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// grid is nodes that do as they are told, or not.
type grid map[api.NodeID]*Fact

func (g grid) fact(id api.NodeID) Fact { return *g[id] }

func newGrid(n int) (grid, map[api.NodeID]Entry) {
	g, entries := grid{}, map[api.NodeID]Entry{}
	for i := range n {
		id := api.NodeID(fmt.Sprintf("02%010d", i))
		g[id] = &Fact{State: api.NodeEnrolled, Confirmed: 1, Generations: []uint32{1}, Here: true, Online: true}
		entries[id] = Begin("r1", *g[id])
	}
	return g, entries
}

func TestNoMoreThanSoManyAreUnderWay(t *testing.T) {
	g, entries := newGrid(10)
	m := NewMachine(api.RotateUnlock, Pace{Width: 3, Again: 30 * time.Second}, entries)
	asked, _ := m.Step(start, g.fact)
	if len(asked) != 3 || !slices.IsSorted(asked) {
		t.Fatalf("asked %v, want the first three", asked)
	}
	if again, _ := m.Step(start.Add(29*time.Second), g.fact); len(again) != 0 {
		t.Errorf("asked %v while three are under way", again)
	}
	g[asked[0]].Confirmed, g[asked[0]].Generations = 2, []uint32{2}
	if next, _ := m.Step(start.Add(29*time.Second), g.fact); len(next) != 1 || slices.Contains(asked, next[0]) {
		t.Errorf("one is done, asked %v; want one more", next)
	}
	if again, _ := m.Step(start.Add(30*time.Second), g.fact); !slices.Contains(again, asked[1]) && len(again) != 2 {
		t.Errorf("after a while asked %v; want two, again or others", again)
	}
}

// Nodes that are away, not enrolled, or could not, keep nobody from his turn;
// in the end everybody is done, and nobody was asked twice within a while.
func TestEverybodyComesToAnEnd(t *testing.T) {
	g, entries := newGrid(40)
	m := NewMachine(api.RotateUnlock, Pace{Width: 4, Again: 30 * time.Second}, entries)
	ids := slices.Clone(m.order)
	g[ids[0]].Here, g[ids[1]].State = false, api.NodeQuarantined
	last := map[api.NodeID]time.Time{}
	for s := range 600 {
		now := start.Add(time.Duration(s) * time.Second)
		if s == 300 {
			g[ids[0]].Here, g[ids[1]].State = true, api.NodeEnrolled
		}
		asked, done := m.Step(now, g.fact)
		if done {
			if s < 300 {
				t.Fatalf("done after %d s, with one away and one shut out", s)
			}
			return
		}
		for i, id := range asked {
			if at, ok := last[id]; ok && now.Sub(at) < 30*time.Second {
				t.Fatalf("%s is asked again after %v", id, now.Sub(at))
			}
			last[id] = now
			if i%3 == 0 && s < 120 { // does not answer, or could not
				if i%2 == 0 {
					m.Answered(id, api.Rotate{ID: "r1", Error: "disk is full"})
				}
				continue
			}
			g[id].Confirmed, g[id].Generations = 2, []uint32{2}
		}
	}
	t.Error("not done after ten minutes")
}

func TestAnswersOfAnotherRotationDoNotCount(t *testing.T) {
	g, entries := newGrid(1)
	m := NewMachine(api.RotateSSH, DefaultPace, entries)
	asked, _ := m.Step(start, g.fact)
	if _, changed := m.Answered(asked[0], api.Rotate{ID: "r0", Done: true}); changed {
		t.Error("a late answer to an earlier rotation counts")
	}
	if _, changed := m.Answered("020000000999", api.Rotate{ID: "r1", Done: true}); changed {
		t.Error("the answer of a node that is not meant counts")
	}
	if e, changed := m.Answered(asked[0], api.Rotate{ID: "r1", Done: true}); !changed || !e.Done {
		t.Errorf("%+v, changed %t", e, changed)
	}
	if _, done := m.Step(start, g.fact); !done {
		t.Error("the only node is done, the rotation is not")
	}
}

// Every stage waits for every AC, also for one that is away.
func TestStagesWaitForAllACs(t *testing.T) {
	for _, k := range api.RotateKinds() {
		c := Campaign{ID: "r1", Kind: k, Stage: First(k)}
		acs := []AC{{Name: "ac1", Seen: start, Did: map[api.RotateKind]Step{}}, {Name: "ac2", Did: map[api.RotateKind]Step{}}}
		for n := 0; c.Done.IsZero(); n++ {
			if n > 10 {
				t.Fatalf("%s comes to no end", k)
			}
			acs[0].Did[k] = Step{Campaign: "r1", Stage: c.Stage}
			if got := Behind(c, acs); !slices.Equal(got, []string{"ac2"}) {
				t.Fatalf("%s, %s: waits for %v", k, c.Stage, got)
			}
			if state, why := ACState(c, acs[1], start); state == api.RotateRemoved || why == "" {
				t.Errorf("%s, %s: the AC that is away is %s, %q", k, c.Stage, state, why)
			}
			acs[1].Did[k] = Step{Campaign: "r1", Stage: c.Stage, Why: "disk is full"}
			if len(Behind(c, acs)) != 1 {
				t.Fatalf("%s, %s: an AC that could not is not waited for", k, c.Stage)
			}
			acs[1].Did[k] = Step{Campaign: "r1", Stage: c.Stage}
			if got := Behind(c, acs); len(got) != 0 {
				t.Fatalf("%s, %s: waits for %v", k, c.Stage, got)
			}
			c = c.Advance(start)
		}
	}
}
