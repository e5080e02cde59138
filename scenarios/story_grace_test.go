package scenarios

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	labgrid "github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/sim"
)

// lent is a grid in virtual time with a node that has a grace.
type lent struct {
	*met
	world *sim.World
	node  string
}

// lend gives a node of a managed grid a grace.
func lend(ctx context.Context, g *met, node string, d time.Duration, boots int) *lent {
	GinkgoHelper()
	l := &lent{g, ctx.Value(stageKey{}).(*stage).world, node}
	ok(l.world.SetGrace(node, d, boots))
	l.says(ctx, "this node unlocks without an AC")
	return l
}

// says waits until the node's console says something of its grace.
func (l *lent) says(ctx context.Context, text string) {
	GinkgoHelper()
	l.until(ctx, time.Minute, "it says "+text, each([]string{l.node}, func(n labgrid.Node) bool {
		return strings.Contains(strings.Join(n.Status.Warnings, "\n"), text)
	}))
}

// cycle takes the node's power for a moment.
func (l *lent) cycle(ctx context.Context) {
	GinkgoHelper()
	l.during(ctx, 3*time.Second, "power on=%s", l.node)
	Expect(l.world.Open(l.node)).To(BeFalse(), "its volume is closed when it starts")
}

// opens demands that the node opens its volume without an AC, and waits for one.
func (l *lent) opens(ctx context.Context, left string) {
	GinkgoHelper()
	l.says(ctx, "opened without an AC")
	l.says(ctx, left)
	Expect(l.world.Open(l.node)).To(BeTrue())
	Expect(l.met.node(ctx, l.node).Status.Phase).To(Equal("network"), "it is managed with an AC only")
}

// shut demands that the node waits for an AC with a closed volume, and says why.
func (l *lent) shut(ctx context.Context, why string) {
	GinkgoHelper()
	l.says(ctx, why)
	l.passes(ctx, 10*time.Minute)
	l.says(ctx, why)
	Expect(l.world.Open(l.node)).To(BeFalse())
	n := l.met.node(ctx, l.node)
	Expect(n.Status.Phase).To(Equal("network"))
	Expect(n.Status.WaitsFor).NotTo(BeEmpty())
}

const inNetns = "its own specs look into the volume and start services"

var _ = Describe("grace", Label("grace"), func() {
	story("opens a volume without an AC until its boots are used up, and anew after an AC was there", not{"vm": inNetns, "netns": inNetns}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		g.passes(ctx, 30*time.Second) // each has come to its best way
		l := lend(ctx, g, "office", 24*time.Hour, 2)
		away := g.add(ctx, "ac-kill")
		l.cycle(ctx)
		l.opens(ctx, "1 boots are left")
		l.cycle(ctx)
		l.opens(ctx, "0 boots are left")
		l.cycle(ctx)
		l.shut(ctx, "used up")
		g.heal(ctx, away)
		g.managed(ctx, 2*time.Minute)
		l.says(ctx, "2 boots are left")
		g.add(ctx, "ac-kill")
		l.cycle(ctx)
		l.opens(ctx, "1 boots are left")
		g.recovers(ctx, 2*time.Minute)
		l.says(ctx, "2 boots are left")
	})

	story("is over when its time is, and a clock that is set back does not bring it back", not{"vm": inNetns, "netns": inNetns}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		g.passes(ctx, 30*time.Second)
		l := lend(ctx, g, "office", 2*time.Hour, 20)
		away := g.add(ctx, "ac-kill")
		g.passes(ctx, time.Hour)
		l.cycle(ctx)
		l.opens(ctx, "19 boots are left")
		g.passes(ctx, 90*time.Minute)
		Expect(l.world.Open("office")).To(BeTrue(), "what is open stays so")
		l.cycle(ctx)
		l.shut(ctx, "grace is over since")
		g.add(ctx, "clock on=office by=-2h")
		l.cycle(ctx)
		l.shut(ctx, "grace is over since")
		g.heal(ctx, away)
		g.recovers(ctx, 3*time.Minute)
		l.says(ctx, "20 boots are left")
	})

	story("ends where an operator ends it", not{"vm": inNetns, "netns": inNetns}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		g.passes(ctx, 30*time.Second)
		l := lend(ctx, g, "office", 24*time.Hour, 2)
		ok(l.world.SetGrace("office", 0, 0))
		g.until(ctx, time.Minute, "it says nothing of it", each([]string{"office"}, func(n labgrid.Node) bool { return len(n.Status.Warnings) == 0 }))
		g.add(ctx, "ac-kill")
		l.cycle(ctx)
		g.passes(ctx, 5*time.Minute)
		Expect(l.world.Open("office")).To(BeFalse())
		g.recovers(ctx, 2*time.Minute)
	})
})
