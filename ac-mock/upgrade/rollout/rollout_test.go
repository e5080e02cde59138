package rollout

import (
	"bufio"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/transcript"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// TestTranscripts plays the scripts of testdata: a line is an event, the lines
// after it that begin with a blank are what follows.
func TestTranscripts(t *testing.T) { transcript.Test(t, play) }

type fleet struct {
	plan    Plan
	entries map[api.NodeID]Entry
	away    map[api.NodeID]bool
	other   map[api.NodeID]bool // with another AC
	mine    map[api.NodeID]bool
	now     time.Time
}

func play(t *testing.T, script string) string {
	var out strings.Builder
	f := &fleet{now: t0}
	for lines := bufio.NewScanner(strings.NewReader(script)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, " ") {
			continue
		}
		fmt.Fprintln(&out, line)
		if line != "" && line[0] != '#' {
			f.event(t, &out, strings.Fields(line))
		}
	}
	return out.String()
}

func (f *fleet) fact(id api.NodeID) Fact {
	return Fact{Name: string(id), Enrolled: true, Here: !f.away[id] && !f.other[id], Online: !f.away[id]}
}

func (f *fleet) event(t *testing.T, out *strings.Builder, w []string) {
	ids := func(words []string) (all []api.NodeID) {
		for _, x := range words {
			all = append(all, api.NodeID(x))
		}
		return all
	}
	set := func(state api.UpgradeState, why string) {
		for _, id := range ids(w[1:2]) {
			e := f.entries[id]
			e.State, e.Why = state, why
			f.entries[id] = e
			delete(f.mine, id)
		}
	}
	switch w[0] {
	case "plan": // CANARIES PERCENT NODE…
		canaries, _ := strconv.Atoi(w[1])
		percent, _ := strconv.Atoi(w[2])
		f.entries, f.mine = map[api.NodeID]Entry{}, map[api.NodeID]bool{}
		steps, n := Divide(ids(w[3:]), f.fact, canaries, percent)
		f.plan = Plan{ID: "u1", State: Running, Steps: n, Pause: time.Minute, HaltAfter: 1}
		for id, step := range steps {
			f.entries[id] = Entry{ID: "u1", Step: step, State: api.UpgradeWaiting}
		}
		for _, id := range sorted(f.entries) {
			fmt.Fprintf(out, "    %s in step %d\n", id, f.entries[id].Step)
		}
		return
	case "proved":
		set(api.UpgradeProved, "")
	case "fails":
		set(api.UpgradeRolledBack, "it hung")
	case "refuses":
		set(api.UpgradeRefused, "not signed")
	case "away", "back", "other":
		f.where(w[0], ids(w[1:]))
	case "killed": // the AC: it forgets whom it has asked
		f.mine = map[api.NodeID]bool{}
	case "after":
		d, err := time.ParseDuration(w[1])
		if err != nil {
			t.Fatal(err)
		}
		f.now = f.now.Add(d)
	case "pause", "resume", "halt":
		next, err := Told(f.plan, f.entries, w[0], "ann", f.now)
		if err != nil {
			t.Fatal(err)
		}
		f.plan = next
	case "limit":
		f.plan.HaltAfter, _ = strconv.Atoi(w[1])
	default:
		t.Fatalf("no such event: %q", w)
	}
	f.settle(out)
}

func (f *fleet) where(what string, ids []api.NodeID) {
	if f.away == nil {
		f.away, f.other = map[api.NodeID]bool{}, map[api.NodeID]bool{}
	}
	for _, id := range ids {
		f.away[id], f.other[id] = what == "away", what == "other"
	}
}

// settle steps until nothing changes.
func (f *fleet) settle(out *strings.Builder) {
	for {
		next, ask := Next(f.plan, f.entries, f.mine, f.fact, f.now)
		same := fmt.Sprint(next) == fmt.Sprint(f.plan)
		if !same {
			f.plan = next
			settled := ""
			if !next.Settled.IsZero() {
				settled = ", settled"
			}
			fmt.Fprintf(out, "    %s, step %d%s %s\n", next.State, next.Step, settled, next.Why)
			continue
		}
		if len(ask) == 0 {
			return
		}
		slices.SortFunc(ask, func(a, b api.NodeID) int { return cmp.Compare(a, b) })
		for _, id := range ask {
			e := f.entries[id]
			e.State = api.UpgradeUnderWay
			f.entries[id], f.mine[id] = e, true
		}
		fmt.Fprintf(out, "    ask %v\n", ask)
	}
}

// However a fleet is divided, every node has one step, and no step is empty.
func TestDivide(t *testing.T) {
	fact := func(id api.NodeID) Fact { return Fact{Online: len(id)%2 == 0} }
	for n := range 40 {
		var ids []api.NodeID
		for i := range n {
			ids = append(ids, api.NodeID(strings.Repeat("n", i+1)))
		}
		for _, canaries := range []int{0, 1, 3, 100} {
			for _, percent := range []int{1, 10, 33, 100} {
				step, steps := Divide(ids, fact, canaries, percent)
				count := make([]int, steps)
				for _, s := range step {
					count[s]++
				}
				if len(step) != n || slices.Contains(count, 0) || n > 0 && canaries > 0 && count[0] != min(canaries, n) {
					t.Fatalf("%d nodes, %d canaries, %d%%: %v", n, canaries, percent, count)
				}
			}
		}
	}
}
