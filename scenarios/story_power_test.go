package scenarios

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	labgrid "github.com/g8os/g8os/lab/grid"
)

var _ = Describe("power and places", Label("power"), func() {
	story("the power of the whole grid fails, the AC's too", not{}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		ids := []string{g.add(ctx, "ac-kill")}
		for _, n := range []string{"office", "leased", "lonely"} {
			ids = append(ids, g.add(ctx, "power on=%s", n))
		}
		g.passes(ctx, 3*time.Second)
		g.heal(ctx, ids...)
		g.recovers(ctx, 2*time.Minute)
	})

	story("power cuts, one after another, at any moment of a first boot", not{"vm": sameText, "netns": "its own spec cuts at each phase"}, func(ctx context.Context) {
		g := meet(ctx, ways, true)
		ok(g.Boot(ctx))
		for i := range 40 {
			g.passes(ctx, time.Duration(300+i*7)*time.Millisecond)
			id := g.add(ctx, "power on=%s", []string{"office", "leased"}[i%2])
			g.passes(ctx, 50*time.Millisecond)
			g.heal(ctx, id)
		}
		g.managed(ctx, time.Minute)
		g.recovers(ctx, time.Minute)
	})

	story("a node moves to another segment and back", not{"vm": sameText}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		id := g.add(ctx, "move on=leased to=isolated")
		g.until(ctx, 90*time.Second, "leased is managed over fallback", each([]string{"leased"}, func(n labgrid.Node) bool {
			return n.Managed() && n.Status.Way == "fallback"
		}))
		g.heal(ctx, id)
		g.by(ctx, 2*time.Minute, "dhcp", "leased")
		g.recovers(ctx, time.Minute)
	}, long)

	story("a cable is pulled and put back, again and again", not{"vm": sameText}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		for i := range 4 {
			for _, n := range []string{"office", "leased", "lonely"} {
				g.during(ctx, time.Duration(1+3*i)*time.Second, "cable on=%s", n)
			}
		}
		g.recovers(ctx, 2*time.Minute)
	}, long)

	story("everything is slow and lossy throughout", not{"vm": sameText}, func(ctx context.Context) {
		g := meet(ctx, ways, true)
		g.add(ctx, "loss percent=10")
		g.add(ctx, "delay delay=40ms jitter=20ms")
		g.add(ctx, "duplicate percent=5")
		g.add(ctx, "reorder percent=5 delay=30ms")
		ok(g.Boot(ctx))
		g.managed(ctx, 3*time.Minute)
		for i, n := range []string{"office", "leased", "lonely"} {
			ok(g.Run(ctx, n, fmt.Sprintf("job-%d", i), 5*time.Second))
		}
		g.passes(ctx, 40*time.Second)
		g.recovers(ctx, 2*time.Minute)
	}, long)

	story("a disk that is read-only for a while keeps nothing from coming back", not{"vm": "its own spec damages disks"}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		id := g.add(ctx, "disk-read-only on=office")
		g.during(ctx, 2*time.Second, "kill on=office")
		g.passes(ctx, 10*time.Second)
		g.heal(ctx, id)
		g.recovers(ctx, 2*time.Minute)
		Expect(g.node(ctx, "office").Status.Way).To(Equal("configured"))
	})
})
