package scenarios

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	labgrid "github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/topology"
)

// kinds of keys that are rotated, as g8os rotate has them.
var kinds = []string{"unlock", "cert", "ssh", "server", "ca", "master"}

// rotates begins a rotation and waits until nobody holds the old key.
func (m *met) rotates(ctx context.Context, within time.Duration, kind string) {
	GinkgoHelper()
	By("rotate " + kind)
	ok(m.Rotate(ctx, kind))
	m.over(ctx, within, kind)
}

// over waits until nobody holds the old key of a kind.
func (m *met) over(ctx context.Context, within time.Duration, kind string) {
	GinkgoHelper()
	left := 0
	ok(m.Eventually(ctx, within, "nobody holds the old key: "+kind, func([]labgrid.Node) bool {
		var err error
		left, err = m.Rotating(ctx, kind)
		return err == nil && left == 0
	}), "%d hold the old key of %s", left, kind)
	m.judge(ctx)
}

var _ = Describe("rotation", Label("trust"), func() {
	story("every kind of key is replaced, and then every node boots", not{"vm": sameText}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		for _, kind := range kinds {
			g.rotates(ctx, time.Minute, kind)
		}
		g.managed(ctx, 30*time.Second)
		g.during(ctx, 2*time.Second, "ac-kill")
		for _, name := range []string{"office", "leased", "lonely"} {
			g.during(ctx, 2*time.Second, "power on=%s", name)
		}
		g.managed(ctx, time.Minute)
		g.recovers(ctx, time.Minute)
	})

	// The rotation is asked for, and within the second or two that it takes
	// something is killed, at a moment that is another one each time.
	story("whatever is killed in the middle of a rotation, every node boots and the rotation comes to its end", not{"vm": sameText}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		rounds := 4
		if fidelity != topology.Simulated {
			rounds = 2 // each takes a minute of real time
		}
		for i := range rounds {
			for _, what := range []string{"power on=office", "kill on=office", "ac-kill"} {
				for _, kind := range []string{"unlock", "cert"} {
					ok(g.Rotate(ctx, kind))
				}
				ok(g.Wait(ctx, time.Duration(i*17)*time.Millisecond))
				g.during(ctx, time.Second, "%s", what)
				for _, kind := range []string{"unlock", "cert"} {
					g.over(ctx, 2*time.Minute, kind)
				}
				g.managed(ctx, time.Minute)
			}
		}
		g.recovers(ctx, time.Minute)
	}, long)

	story("one of three ACs is killed in the middle: the others go on with the nodes, and wait for it with what is the ACs'", not{"vm": sameText}, func(ctx context.Context) {
		g := meet(ctx, threeACs)
		g.managed(ctx, time.Minute)
		for i, kind := range kinds {
			ok(g.Rotate(ctx, kind))
			ok(g.Wait(ctx, time.Duration(i*40)*time.Millisecond))
			g.during(ctx, 5*time.Second, "ac-kill on=ac2")
			g.over(ctx, 2*time.Minute, kind)
		}
		g.managed(ctx, time.Minute)
		g.recovers(ctx, time.Minute)
	}, long)

	story("a rotation waits for a node that is away, and goes on when it is back", not{"vm": sameText}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		away := g.add(ctx, "power on=leased")
		ok(g.Rotate(ctx, "unlock"))
		g.passes(ctx, 20*time.Second)
		left, err := g.Rotating(ctx, "unlock")
		ok(err)
		Expect(left).To(Equal(1), "who is there is done, who is away is not")
		g.heal(ctx, away)
		g.over(ctx, 2*time.Minute, "unlock")
		g.recovers(ctx, time.Minute)
	}, long)

	story("a node comes back whose certificate expired a month ago, after the issuing CA was replaced twice", not{"vm": tooLong, "netns": tooLong}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		away := g.add(ctx, "power on=office")
		for i := range 2 {
			g.passes(ctx, 17*24*time.Hour) // certificates are good for five days
			for _, kind := range []string{"ca", "server"} {
				ok(g.Rotate(ctx, kind))
				ok(g.Wait(ctx, time.Hour))
			}
			left, err := g.Rotating(ctx, "ca")
			ok(err)
			Expect(left).To(BeNumerically(">", 0), fmt.Sprintf("rotation %d waits for the node that is away", i+1))
		}
		g.heal(ctx, away)
		g.managed(ctx, time.Minute)
		g.recovers(ctx, time.Minute)
	})
})
