package scenarios

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// crowd is a fallback segment with n nodes.
func crowd(n int) string {
	return fmt.Sprintf(`
segments:
  - {name: isolated}
acs:
  - {name: ac1, legs: [{segment: isolated}]}
nodes:
  - {name: node, count: %d, nics: [{segment: isolated}]}
`, n)
}

// squat takes a range of fallback addresses.
func (m *met) squat(ctx context.Context, from, to int) {
	for x := from; x <= to; x++ {
		m.add(ctx, "squatter on=isolated address=10.254.254.%d", x)
	}
}

var _ = Describe("collisions on 10.254.254.0/24", Label("collision"), func() {
	for _, n := range []int{2, 20, 200} {
		except := not{"vm": tooMany}
		if n == 2 {
			except = not{}
		}
		if n == 200 {
			except["netns"] = tooMany + " within a test's time"
		}
		tell(fmt.Sprintf("%d nodes that start at once have an address each", n), except, seeds()[:min(len(seeds()), 1+20/n)], func(ctx context.Context) {
			g := meet(ctx, crowd(n), true)
			ok(g.Boot(ctx))
			g.by(ctx, 2*time.Minute, "fallback")
			g.addresses(ctx)
			g.recovers(ctx, time.Minute)
		})
	}

	story("two nodes and two free addresses: each gets one", not{"vm": sameText, "netns": "250 squatters are 250 machines there: T9 does it with one"}, func(ctx context.Context) {
		g := meet(ctx, crowd(2), true)
		g.squat(ctx, 3, 253)
		ok(g.Boot(ctx))
		g.by(ctx, 2*time.Minute, "fallback")
		for name, address := range g.addresses(ctx) {
			Expect(bare(address)).To(Or(Equal("10.254.254.1"), Equal("10.254.254.2")), name)
		}
	})

	story("a squatter that comes late takes an address over, and the node finds another", not{"vm": sameText}, func(ctx context.Context) {
		g := meet(ctx, crowd(2))
		g.by(ctx, time.Minute, "fallback")
		before := g.addresses(ctx)
		id := g.add(ctx, "squatter on=isolated address=%s", bare(before["node-1"]))
		g.until(ctx, time.Minute, "node-1 has another address", each([]string{"node-1"}, isManagedElsewhere(before["node-1"])))
		g.managed(ctx, 30*time.Second)
		g.addresses(ctx)
		g.heal(ctx, id)
		g.recovers(ctx, time.Minute)
	})

	story("a full segment is waited for, and the address that becomes free is had", not{"vm": sameText, "netns": "253 squatters are 253 machines there: its own spec does it with one"}, func(ctx context.Context) {
		g := meet(ctx, crowd(1), true)
		g.squat(ctx, 1, 253)
		faults, err := g.Faults(ctx)
		ok(err)
		ok(g.Boot(ctx))
		g.passes(ctx, 5*time.Minute)
		Expect(g.node(ctx, "node-1").Managed()).To(BeFalse())
		Expect(g.node(ctx, "node-1").Status.Warnings).To(ContainElement(ContainSubstring("all 253 are taken")))
		g.heal(ctx, faults[76].ID)
		g.by(ctx, time.Minute, "fallback")
		Expect(g.addresses(ctx)["node-1"]).To(Equal("10.254.254.77/24"))
	})

	story("a partition heals that let both halves take the same addresses", not{"vm": tooMany, "netns": "halves of a segment are many partitions there"}, func(ctx context.Context) {
		const nodes = 12
		g := meet(ctx, crowd(nodes), true)
		g.squat(ctx, 8, 253) // seven addresses for two halves of six
		var cuts []string
		for a := range nodes / 2 {
			for b := nodes / 2; b < nodes; b++ {
				cuts = append(cuts, g.add(ctx, "partition from=node-%d to=node-%d both", a+1, b+1))
			}
		}
		ok(g.Boot(ctx))
		g.by(ctx, 2*time.Minute, "fallback")
		g.heal(ctx, cuts...)
		g.passes(ctx, time.Minute)
		g.recovers(ctx, 3*time.Minute)
		g.addresses(ctx)
	})
})
