package scenarios

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	labgrid "github.com/g8os/g8os/lab/grid"
)

// leased is a segment with a DHCP server and one with the AC at its fallback
// address only; nodes have a NIC on each.
const leased = `
segments:
  - {name: dhcp, subnet: 192.168.8.0/24, dhcp: {first: 192.168.8.10, last: 192.168.8.60, lease: 2m}}
acs:
  - {name: ac1, legs: [{segment: dhcp, address: 192.168.8.2}]}
nodes:
  - {name: node, count: 3, nics: [{segment: dhcp}]}
`

// twoLegged are nodes with two NICs on segments that both have a DHCP server.
const twoLegged = `
segments:
  - {name: left, subnet: 192.168.8.0/24, dhcp: {first: 192.168.8.10, last: 192.168.8.60, lease: 2m}}
  - {name: right, subnet: 192.168.9.0/24, dhcp: {first: 192.168.9.10, last: 192.168.9.60, lease: 2m}}
acs:
  - {name: ac1, legs: [{segment: left, address: 192.168.8.2}, {segment: right, address: 192.168.9.2}]}
nodes:
  - {name: node, count: 2, nics: [{segment: left}, {segment: right}]}
`

var _ = Describe("DHCP failures", Label("dhcp"), func() {
	for _, kind := range []string{"dhcp-silent", "dhcp-nak", "dhcp-offer-only", "dhcp-exhausted", "dhcp-nowhere", "dhcp-slow delay=30s"} {
		except := not{}
		if kind != "dhcp-silent" {
			except["vm"] = sameText
		}
		story(kind+" from the start leaves nodes to fallback, and they return when it is over", except, func(ctx context.Context) {
			g := meet(ctx, leased, true)
			id := g.add(ctx, "%s on=dhcp", kind)
			ok(g.Boot(ctx))
			g.by(ctx, time.Minute, "fallback")
			g.addresses(ctx)
			g.heal(ctx, id)
			g.by(ctx, 90*time.Second, "dhcp")
			g.recovers(ctx, time.Minute)
		}, long)
	}

	story("offers of an address that is in use are declined", not{"vm": sameText}, func(ctx context.Context) {
		g := meet(ctx, leased, true)
		g.add(ctx, "squatter on=dhcp address=192.168.8.44")
		id := g.add(ctx, "dhcp-in-use on=dhcp address=192.168.8.44")
		ok(g.Boot(ctx))
		g.by(ctx, time.Minute, "fallback")
		g.heal(ctx, id)
		g.by(ctx, 90*time.Second, "dhcp")
		for name, address := range g.addresses(ctx) {
			Expect(bare(address)).NotTo(Equal("192.168.8.44"), name)
		}
		g.recovers(ctx, time.Minute)
	}, long)

	story("a foreign server that answers first does not keep nodes out", not{"vm": sameText}, func(ctx context.Context) {
		g := meet(ctx, leased, true)
		id := g.add(ctx, "dhcp-foreign on=dhcp")
		ok(g.Boot(ctx))
		g.managed(ctx, time.Minute)
		g.heal(ctx, id)
		g.by(ctx, 2*time.Minute, "dhcp")
		g.recovers(ctx, time.Minute)
	})

	story("leases that are not renewed are given up in time", not{"vm": sameText, "netns": "a lease of two minutes, the shortest that dnsmasq gives: T8 does it with the scripted server"}, func(ctx context.Context) {
		g := meet(ctx, leased)
		g.by(ctx, time.Minute, "dhcp")
		id := g.add(ctx, "dhcp-no-renew on=dhcp")
		g.passes(ctx, 110*time.Second)
		g.managed(ctx, time.Minute)
		g.passes(ctx, 5*time.Minute)
		g.heal(ctx, id)
		g.by(ctx, 2*time.Minute, "dhcp")
		g.recovers(ctx, time.Minute)
	})

	for i, side := range []string{"left", "right"} {
		story(fmt.Sprintf("a silent server on %s, one of two NICs, leaves nodes the other", side), not{"vm": sameText}, func(ctx context.Context) {
			g := meet(ctx, twoLegged, true)
			g.add(ctx, "dhcp-silent on=%s", side)
			ok(g.Boot(ctx))
			other := fmt.Sprintf("eth%d", 1-i)
			g.until(ctx, time.Minute, "managed over "+other, each(nil, func(n labgrid.Node) bool {
				return n.Managed() && n.Status.Interface == other
			}))
			g.recovers(ctx, time.Minute)
		}, long)
	}

	story("a server that flaps loses no node", not{"vm": sameText}, func(ctx context.Context) {
		g := meet(ctx, leased)
		g.by(ctx, time.Minute, "dhcp")
		for range 4 {
			g.during(ctx, 7*time.Second, "dhcp-silent on=dhcp")
			g.passes(ctx, 5*time.Second)
			g.during(ctx, 5*time.Second, "dhcp-nak on=dhcp")
		}
		g.recovers(ctx, 2*time.Minute)
		g.by(ctx, time.Minute, "dhcp")
	}, long)
})
