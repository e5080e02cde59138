package scenarios

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/fault"
	labgrid "github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/invariant"
	"github.com/g8os/g8os/lab/real"
	"github.com/g8os/g8os/lab/sim"
	"github.com/g8os/g8os/lab/topology"
)

// not says at which fidelities a story does not run, and why.
type not map[string]string

// Reasons that several stories have.
const (
	tooMany   = "more machines than two cores carry"
	tooLong   = "hours of real time"
	firstAC   = "jobs of a story are followed through the first AC there: a spec of three ACs kills the one that has the job"
	onlyStore = "a store fails there with most of its ACs: a spec of three ACs kills two"
	sameText  = "the machine's program is the same; netns shows it sooner"
)

// story is a scenario on labgrid.Grid: one text for every fidelity that is not
// excluded. In virtual time it is played with several seeds, each of them twice,
// and the two histories have to be one.
func story(text string, except not, body func(ctx context.Context), labels ...Labels) bool {
	return tell(text, except, seeds(), body, labels...)
}

// only is the label of one of several stories that differ little: the others
// are long.
func only(this bool) Labels {
	if this {
		return nil
	}
	return long
}

// saga is a long story: one seed has to do.
func saga(text string, except not, body func(ctx context.Context)) bool {
	return tell(text, except, seeds()[:1], body)
}

func tell(text string, except not, seeds []uint64, body func(ctx context.Context), more ...Labels) bool {
	labels := append(Labels{"story"}, slices.Concat(more...)...)
	for _, f := range []string{topology.Simulated, topology.NetNS, topology.Virtual} {
		if why, excluded := except[f]; excluded {
			labels = append(labels, "not "+f+": "+labelText(why))
		} else {
			labels = append(labels, f)
		}
	}
	It(text, Label(labels...), patience, func(ctx SpecContext) {
		if fidelity != topology.Simulated {
			body(ctx)
			return
		}
		for _, seed := range seeds {
			first, second := play(ctx, seed, body), play(ctx, seed, body)
			Expect(second).To(Equal(first), "seed %d was played twice: the histories differ", seed)
		}
	})
	return true
}

// labelText leaves out what a label cannot have; a comma is a dash there.
func labelText(s string) string {
	return strings.NewReplacer(",", " -", "&", "and", "|", "", "!", "", "(", "", ")", "", "/", " of ").Replace(s)
}

// seeds of a run in virtual time: G8LAB_SEEDS says how many.
func seeds() []uint64 {
	n, err := strconv.Atoi(os.Getenv("G8LAB_SEEDS"))
	if err != nil || n < 1 {
		n = 3
	}
	var all []uint64
	for i := range n {
		all = append(all, uint64(i)+1)
	}
	return all
}

// stage is where a story in virtual time is played.
type stage struct {
	seed  uint64
	world *sim.World
}

type stageKey struct{}

// play plays a story with a seed and returns the hash of its history.
func play(ctx context.Context, seed uint64, body func(context.Context)) string {
	s := &stage{seed: seed}
	By(fmt.Sprintf("seed %d", seed))
	body(context.WithValue(ctx, stageKey{}, s))
	return fmt.Sprintf("%016x", s.world.Hash())
}

// met is a grid that a story has met: it is judged all along.
type met struct {
	labgrid.Grid
	checker *invariant.Checker
	lab     *lab.Lab // nil in virtual time
}

// meet brings a grid up for a story; its nodes have power unless hold is set.
func meet(ctx context.Context, text string, hold ...bool) *met {
	GinkgoHelper()
	top, err := topology.Parse("topology.yaml", []byte(text))
	ok(err)
	held := slices.Contains(hold, true)
	m := &met{checker: invariant.New()}
	if s, virtual := ctx.Value(stageKey{}).(*stage); virtual {
		plan, err := top.Plan("story")
		ok(err)
		s.world, err = sim.New(plan, sim.Options{Seed: s.seed, Hold: held})
		ok(err)
		m.Grid = s.world
		return m
	}
	ok(top.SetFidelity(fidelity))
	options := lab.Options{Name: labName(), Hold: held, Log: slog.New(slog.NewTextHandler(GinkgoWriter, nil))}
	DeferCleanup(func(ctx SpecContext) {
		ok(lab.Down(ctx, options.Name, lab.DownOptions{KeepLogs: logsToKeep()}))
	}, NodeTimeout(time.Minute))
	g, err := real.Up(ctx, top, options)
	ok(err)
	m.Grid, m.lab = g, g.Lab()
	seen := &grid{m.lab}
	DeferCleanup(seen.gate, NodeTimeout(time.Minute))
	DeferCleanup(seen.diagnose, NodeTimeout(30*time.Second))
	return m
}

// meetScaled is meet on a grid of so many nodes, on as many segments as they
// need; in virtual time only.
func meetScaled(ctx context.Context, nodes, acs int) *met {
	GinkgoHelper()
	top, err := sim.Scale(nodes, acs)
	ok(err)
	plan, err := top.Plan("story")
	ok(err)
	s := ctx.Value(stageKey{}).(*stage)
	s.world, err = sim.New(plan, sim.Options{Seed: s.seed, Boot: 10 * time.Second})
	ok(err)
	return &met{Grid: s.world, checker: invariant.New()}
}

// judge checks every invariant.
func (m *met) judge(ctx context.Context) labgrid.Facts {
	GinkgoHelper()
	f, err := m.Facts(ctx)
	ok(err)
	for _, v := range m.checker.Check(f) {
		Fail(v.String())
	}
	return f
}

// add puts a fault into force, in the words of lab/fault.
func (m *met) add(ctx context.Context, text string, args ...any) string {
	GinkgoHelper()
	f, err := fault.Parse(fmt.Sprintf(text, args...))
	ok(err)
	m.judge(ctx)
	By("fault: " + f.String())
	a, err := m.Add(ctx, f)
	ok(err)
	m.checker.Added(a)
	return a.ID
}

// heal ends faults.
func (m *met) heal(ctx context.Context, ids ...string) {
	GinkgoHelper()
	all, err := m.Faults(ctx)
	ok(err)
	for _, id := range ids {
		By("heal " + id)
		ok(m.Heal(ctx, id))
		if i := slices.IndexFunc(all, func(a labgrid.Applied) bool { return a.ID == id }); i >= 0 {
			m.checker.Healed(all[i], m.Elapsed())
		}
	}
	m.judge(ctx)
}

// during lets a fault be in force for a time.
func (m *met) during(ctx context.Context, d time.Duration, text string, args ...any) {
	GinkgoHelper()
	id := m.add(ctx, text, args...)
	m.passes(ctx, d)
	m.heal(ctx, id)
}

// passes lets time pass, and judges on the way.
func (m *met) passes(ctx context.Context, d time.Duration) {
	GinkgoHelper()
	for d > 0 {
		step := min(d, max(d/10, time.Second))
		ok(m.Wait(ctx, step))
		m.judge(ctx)
		d -= step
	}
}

// until waits for something to be true of all nodes.
func (m *met) until(ctx context.Context, within time.Duration, what string, holds func([]labgrid.Node) bool) {
	GinkgoHelper()
	By("until " + what)
	ok(m.Eventually(ctx, within, what, holds))
	m.judge(ctx)
}

// managed waits until nodes are, all if none are named.
func (m *met) managed(ctx context.Context, within time.Duration, names ...string) {
	GinkgoHelper()
	m.until(ctx, within, "managed", each(names, labgrid.Node.Managed))
}

// by waits until nodes are managed by a way.
func (m *met) by(ctx context.Context, within time.Duration, way string, names ...string) {
	GinkgoHelper()
	m.until(ctx, within, "managed by "+way, each(names, func(n labgrid.Node) bool { return n.Managed() && n.Status.Way == way }))
}

// each is a condition of every node, or of those that are named.
func each(names []string, holds func(labgrid.Node) bool) func([]labgrid.Node) bool {
	return func(nodes []labgrid.Node) bool {
		return !slices.ContainsFunc(nodes, func(n labgrid.Node) bool {
			return (len(names) == 0 || slices.Contains(names, n.Name)) && !holds(n)
		})
	}
}

// recovers heals what is in force, and demands that the grid is as it was
// within a bound, and that nothing that lasts was left behind.
func (m *met) recovers(ctx context.Context, within time.Duration, excused ...string) {
	GinkgoHelper()
	all, err := m.Faults(ctx)
	ok(err)
	ok(m.HealAll(ctx))
	for _, a := range all {
		m.checker.Healed(a, m.Elapsed())
	}
	ok(m.Eventually(ctx, within, "recovered", func([]labgrid.Node) bool {
		f, err := m.Facts(ctx)
		ok(err)
		for _, v := range m.checker.Check(f) {
			Fail(v.String())
		}
		return m.checker.Well(f, excused...)
	}))
	f := m.judge(ctx)
	for _, v := range m.checker.Settled(f, within, excused...) {
		Fail(v.String())
	}
}

// node is where a node is now.
func (m *met) node(ctx context.Context, name string) labgrid.Node {
	GinkgoHelper()
	nodes, err := m.Nodes(ctx)
	ok(err)
	for _, n := range nodes {
		if n.Name == name {
			return n
		}
	}
	Fail("no node " + name)
	return labgrid.Node{}
}

// addresses are those that nodes have on a segment, by node, and nobody's twice.
func (m *met) addresses(ctx context.Context) map[string]string {
	GinkgoHelper()
	nodes, err := m.Nodes(ctx)
	ok(err)
	all := map[string]string{}
	for _, n := range nodes {
		all[n.Name] = n.Status.Address
	}
	Expect(slices.Compact(slices.Sorted(maps.Values(all)))).To(HaveLen(len(all)), "every address is one node's: %v", all)
	return all
}

// isManagedElsewhere says whether a node is managed, and not at an address.
func isManagedElsewhere(address string) func(labgrid.Node) bool {
	return func(n labgrid.Node) bool { return n.Managed() && n.Status.Address != address }
}
