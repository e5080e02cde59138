package agenda

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/transcript"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
)

// A script has options (NAME VALUE), the schedule (lines that begin with a
// time), and how the grid answers: "busy FROM TO", between which times a node
// is not managed; "refuse N", an entry that cannot be put into force; "slow D",
// how long it takes to put one in force. What the agenda asks for is below ---.
func TestTranscripts(t *testing.T) {
	transcript.Test(t, func(t *testing.T, script string) string {
		head, _, _ := strings.Cut(script, "---\n")
		p := parse(t, head)
		return head + "---\n" + p.play()
	})
}

type play struct {
	o        Options
	from, to time.Duration // not managed
	refuse   int
	slow     time.Duration
}

func parse(t *testing.T, head string) *play {
	p, schedule := &play{o: Options{Every: 10 * time.Second, Settle: time.Minute}, refuse: -1}, ""
	for line := range strings.Lines(head) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		duration := func(i int) time.Duration {
			d, err := time.ParseDuration(words[i])
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return d
		}
		switch words[0] {
		case "for":
			p.o.For = duration(1)
		case "every":
			p.o.Every = duration(1)
		case "settle":
			p.o.Settle = duration(1)
		case "jobs":
			p.o.Jobs = duration(1)
		case "ready":
			p.o.Ready = time.Minute
		case "busy":
			p.from, p.to = duration(1), duration(2)
		case "slow":
			p.slow = duration(1)
		case "refuse":
			p.refuse, _ = strconv.Atoi(words[1])
		default:
			schedule += line
		}
	}
	var err error
	if p.o.Schedule, err = fault.ParseSchedule(schedule); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *play) nodes(now time.Duration) []grid.Node {
	all := []grid.Node{{Name: "a", Powered: true}, {Name: "b", Powered: true}, {Name: "held-back"}}
	if p.o.Ready > 0 { // who is held back would be waited for
		all = all[:2]
	}
	for i := range all[:2] {
		all[i].Status = api.Status{Phase: "managed"}
	}
	if p.from <= now && now < p.to {
		all[1].Status.Phase = "network"
	}
	return all
}

func (p *play) play() string {
	var b strings.Builder
	now, ids := 7*time.Second, 0 // a grid that is up already
	a := New(p.o, now)
	for range 200 {
		s := a.Next(now)
		line := fmt.Sprintf("%s %s", now, s.Do)
		switch s.Do {
		case Wait:
			now = s.Until
			continue
		case Check, Judge:
			a.Checked(now, grid.Facts{At: now, Nodes: p.nodes(now)})
		case Add:
			line += " " + p.o.Schedule[s.Entry].Fault.String()
			now += p.slow
			if s.Entry == p.refuse {
				line += " refused"
				break
			}
			ids++
			line += fmt.Sprintf(" as f%d", ids)
			a.Added(now, s.Entry, fmt.Sprintf("f%d", ids))
		case Heal:
			line += " " + s.ID
		case Job:
			if node, id, ok := a.Pick(p.nodes(now)); ok {
				line += " " + id + " on " + node
			}
		case End:
			return b.String() + strings.TrimSpace(line+" "+s.Why) + "\n"
		}
		b.WriteString(line + "\n")
	}
	return b.String() + "it does not end\n"
}

// An address that two share keeps a run from being over, and so does a job
// that nobody was told of.
func TestAllWell(t *testing.T) {
	a := New(Options{Excused: []string{"b"}}, 0)
	p := &play{from: 0, to: time.Hour}
	if !a.allWell(grid.Facts{Nodes: p.nodes(0)}) {
		t.Error("who is excused need not be managed")
	}
	if a.allWell(grid.Facts{Nodes: p.nodes(0), Jobs: []grid.Job{{ID: "j"}}}) {
		t.Error("nobody was told of job j")
	}
	both := p.nodes(time.Hour)
	for i := range both {
		both[i].Holdings = []grid.Holding{{Segment: "s"}}
	}
	if a.allWell(grid.Facts{Nodes: both}) {
		t.Error("a and b share an address")
	}
}

// Where jobs go depends on the seed alone.
func TestPick(t *testing.T) {
	draw := func(seed uint64) string {
		a := New(Options{Seed: seed, Jobs: time.Second}, 0)
		var all []string
		for range 20 {
			node, id, _ := a.Pick((&play{}).nodes(0))
			all = append(all, node+id)
		}
		return strings.Join(all, " ")
	}
	if first, again, other := draw(1), draw(1), draw(2); first != again || first == other {
		t.Errorf("seed 1: %s, %s; seed 2: %s", first, again, other)
	}
	if _, _, ok := New(Options{}, 0).Pick(nil); ok {
		t.Error("a job where there is no node")
	}
}
