package scenarios

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	labgrid "github.com/g8os/g8os/lab/grid"
)

// ways is one node of each way, and one AC.
const ways = `
segments:
  - {name: office, subnet: 192.168.7.0/24}
  - {name: dhcp, subnet: 192.168.8.0/24, dhcp: {first: 192.168.8.10, last: 192.168.8.60, lease: 10m}}
  - {name: isolated}
acs:
  - {name: ac1, legs: [{segment: office, address: 192.168.7.2}, {segment: dhcp, address: 192.168.8.2}, {segment: isolated}]}
nodes:
  - {name: office, nics: [{segment: office, method: static}]}
  - {name: leased, nics: [{segment: dhcp}]}
  - {name: lonely, nics: [{segment: isolated}]}
`

// threeACs share their data; nodes know all of them.
const threeACs = `
segments:
  - {name: office, subnet: 192.168.7.0/24}
acs:
  - {name: ac1, legs: [{segment: office, address: 192.168.7.2}]}
  - {name: ac2, legs: [{segment: office, address: 192.168.7.3}]}
  - {name: ac3, legs: [{segment: office, address: 192.168.7.4}]}
nodes:
  - {name: node, count: 12, nics: [{segment: office, method: static}]}
`

var _ = Describe("AC outages", Label("outage"), func() {
	for _, fault := range []string{"ac-kill", "ac-pause", "outage", "hang-after-accept"} {
		except := not{}
		if fault != "ac-kill" {
			except["vm"] = sameText
		}
		story(fault+" while nodes boot, and while they are managed", except, func(ctx context.Context) {
			g := meet(ctx, ways, true)
			id := g.add(ctx, "%s", fault)
			ok(g.Boot(ctx))
			g.passes(ctx, 25*time.Second)
			g.heal(ctx, id)
			g.managed(ctx, time.Minute)
			g.during(ctx, 30*time.Second, "%s", fault)
			g.recovers(ctx, 2*time.Minute)
		}, long)
	}

	story("the AC goes away at each phase of a climb", not{"vm": sameText, "netns": "a phase lasts milliseconds there; its own spec holds each phase open"}, func(ctx context.Context) {
		for _, phase := range []string{"network", "unlock", "secure", "ssh", "sandbox", "managed"} {
			g := meet(ctx, ways, true)
			ok(g.Boot(ctx))
			g.until(ctx, time.Minute, "somebody is in "+phase, func(nodes []labgrid.Node) bool {
				for _, n := range nodes {
					if n.Status.Phase == phase {
						return true
					}
				}
				return phase != "network" && phase != "managed" // shorter than a look
			})
			g.during(ctx, time.Minute, "ac-kill")
			g.recovers(ctx, 2*time.Minute)
		}
	})

	for _, away := range []time.Duration{10 * time.Minute, 6 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour} {
		saga(fmt.Sprintf("the AC is away for %s", away), not{"vm": tooLong, "netns": tooLong}, func(ctx context.Context) {
			g := meet(ctx, ways)
			g.managed(ctx, time.Minute)
			g.during(ctx, away, "ac-kill")
			g.recovers(ctx, 3*time.Minute)
		})
	}

	story("one of three ACs dies: its nodes go to the others, and nothing is lost", not{"vm": sameText, "netns": firstAC}, func(ctx context.Context) {
		g := meet(ctx, threeACs)
		g.managed(ctx, time.Minute)
		for i := range 6 {
			ok(g.Run(ctx, fmt.Sprintf("node-%d", i+1), fmt.Sprintf("job-%d", i), 8*time.Second))
		}
		g.passes(ctx, 2*time.Second)
		id := g.add(ctx, "ac-kill on=ac1")
		g.until(ctx, time.Minute, "managed by the other two", each(nil, func(n labgrid.Node) bool {
			return n.Managed() && n.Status.Controller != "https://192.168.7.2:8966"
		}))
		g.heal(ctx, id)
		g.recovers(ctx, time.Minute)
	})

	story("all of three ACs die, and come back one after the other", not{"vm": sameText}, func(ctx context.Context) {
		g := meet(ctx, threeACs)
		g.managed(ctx, time.Minute)
		ids := []string{g.add(ctx, "ac-kill on=ac3"), g.add(ctx, "ac-kill on=ac2"), g.add(ctx, "ac-kill on=ac1")}
		g.passes(ctx, 20*time.Second)
		g.heal(ctx, ids[0]) // alone it has no majority
		g.passes(ctx, 5*time.Second)
		g.heal(ctx, ids[1])
		g.managed(ctx, time.Minute)
		g.heal(ctx, ids[2])
		g.recovers(ctx, time.Minute)
	}, long)

	for _, fault := range []string{"store-lost", "store-full"} {
		story(fault+": who is managed stays so, who boots waits", not{"vm": onlyStore, "netns": onlyStore}, func(ctx context.Context) {
			g := meet(ctx, threeACs)
			g.managed(ctx, time.Minute)
			id := g.add(ctx, "%s", fault)
			g.passes(ctx, 2*time.Minute)
			g.managed(ctx, 0)
			off := g.add(ctx, "power on=node-12")
			g.passes(ctx, 5*time.Second)
			g.heal(ctx, off)
			g.passes(ctx, time.Minute)
			Expect(g.node(ctx, "node-12").Managed()).To(BeFalse())
			g.managed(ctx, 0, "node-1")
			g.heal(ctx, id)
			g.recovers(ctx, time.Minute)
		})
	}

	saga("a thousand nodes come back at once after their AC was away", not{"vm": tooMany, "netns": tooMany}, func(ctx context.Context) {
		g := meetScaled(ctx, 1000, 1)
		g.managed(ctx, 2*time.Minute)
		g.during(ctx, 10*time.Minute, "ac-kill")
		g.recovers(ctx, 5*time.Minute)
	})
})
