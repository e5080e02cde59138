package scenarios

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	labgrid "github.com/g8os/g8os/lab/grid"
)

var _ = Describe("certificates", Label("trust"), func() {
	for _, fault := range []string{"expired-cert", "wrong-ca"} {
		story("an AC with "+fault+" is nobody's AC, and is one again when it is mended", not{"vm": sameText}, func(ctx context.Context) {
			g := meet(ctx, ways, true)
			id := g.add(ctx, "%s", fault)
			ok(g.Boot(ctx))
			g.passes(ctx, 30*time.Second)
			g.until(ctx, 0, "nobody is past network", each(nil, func(n labgrid.Node) bool { return n.Status.Phase == "network" }))
			g.heal(ctx, id)
			g.managed(ctx, time.Minute)
			g.recovers(ctx, time.Minute)
		}, only(fault == "expired-cert"))
	}

	story("all client certificates are revoked: nodes make themselves whole", not{"vm": sameText}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		g.add(ctx, "revoke")
		g.passes(ctx, 2*time.Second)
		g.recovers(ctx, 2*time.Minute)
	})

	story("a client certificate is damaged: the node makes itself whole", not{}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		g.add(ctx, "damage-certificate on=lonely")
		g.during(ctx, 3*time.Second, "kill on=lonely")
		g.recovers(ctx, 2*time.Minute)
	})

	story("one copy of the key-slot file is damaged: the node boots", not{}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		g.add(ctx, "damage-slots on=office")
		g.during(ctx, 3*time.Second, "power on=office")
		g.recovers(ctx, 2*time.Minute)
	})

	story("clocks are wrong by two days, both ways", not{"vm": "a machine's clock is set when it gets power; its own spec does it"}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		g.during(ctx, 20*time.Second, "clock on=office by=-48h")
		g.during(ctx, 20*time.Second, "clock on=leased by=48h")
		g.recovers(ctx, 2*time.Minute)
	}, long)

	saga("certificates of six hours are renewed for a week, the AC away at any time", not{"vm": tooLong, "netns": tooLong}, func(ctx context.Context) {
		g := meet(ctx, strings.Replace(ways, "{name: ac1,", "{name: ac1, certificate_life: 6h,", 1))
		g.managed(ctx, time.Minute)
		for i := range 14 {
			g.passes(ctx, 11*time.Hour)
			g.managed(ctx, 0)
			g.during(ctx, time.Duration(i*20)*time.Minute, "ac-kill")
			g.managed(ctx, 2*time.Minute)
		}
		g.recovers(ctx, time.Minute)
	})

	story("a stranger on 10.254.254.254 gets nothing", not{"vm": sameText}, func(ctx context.Context) {
		g := meet(ctx, crowd(2), true)
		away := g.add(ctx, "ac-kill")
		id := g.add(ctx, "stranger on=isolated")
		ok(g.Boot(ctx))
		g.passes(ctx, 30*time.Second)
		Expect(g.node(ctx, "node-1").Status.Phase).To(Equal("network"))
		g.heal(ctx, id)
		g.heal(ctx, away)
		g.managed(ctx, time.Minute)
		g.recovers(ctx, time.Minute)
	}, long)

	story("thieves, clones and impostors get no key, and the others go on", not{"vm": "a second machine with a MAC has to be in the topology: its own spec", "netns": "a second machine with a MAC has to be in the topology: its own spec"}, func(ctx context.Context) {
		g := meet(ctx, ways)
		g.managed(ctx, time.Minute)
		g.during(ctx, 40*time.Second, "thief on=office")
		g.add(ctx, "impostor on=leased to=lonely")
		g.passes(ctx, 10*time.Second)
		g.managed(ctx, time.Minute)
		g.during(ctx, 3*time.Minute, "clone on=lonely")
		g.recovers(ctx, time.Minute, "lonely")
		ok(g.Approve(ctx, "lonely"))
		g.managed(ctx, 2*time.Minute)
	})
})
