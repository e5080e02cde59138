package scenarios

import (
	"net/netip"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// bare is an address without its prefix length.
func bare(address string) string { return strings.SplitN(address, "/", 2)[0] }

const everybody = "10.254.254.1-253"

var _ = Describe("the fallback address", netns, vm, func() {
	It("is the same after a power cut, and another one when somebody has taken it", func(ctx SpecContext) {
		g := up(ctx, isolatedOnly)
		n := g.Node("node")
		first := g.reaches(ctx, "node", "managed over fallback", way("fallback")).Address

		By("coming back to it")
		ok(n.PowerCut(ctx))
		ok(n.PowerOn(ctx))
		Expect(g.reaches(ctx, "node", "managed over fallback", way("fallback")).Address).To(Equal(first))

		By("finding it taken")
		ok(n.PowerCut(ctx))
		squatter := g.actor(ctx, "isolated", "", "squatter", bare(first))
		ok(n.PowerOn(ctx))
		second := g.reaches(ctx, "node", "managed over fallback", way("fallback")).Address
		Expect(second).NotTo(Equal(first))
		squatter.says(ctx, "probe", event{"address": bare(first), "answered": true})
	}, patience)

	It("is given up, for another one, when somebody insists on it", func(ctx SpecContext) {
		g := up(ctx, isolatedOnly)
		first := g.reaches(ctx, "node", "managed over fallback", way("fallback")).Address
		squatter := g.actor(ctx, "isolated", "", "squatter", "10.254.254.254", "--start-after", "1h")
		squatter.tell(ctx, "take", bare(first))
		g.reaches(ctx, "node", "managed with another address", func(s lab.Status) bool {
			return s.Phase == "managed" && s.Address != first
		})
		squatter.says(ctx, "announce", event{"address": bare(first)})
	}, patience)

	It("is waited for, visibly, when all 253 are taken, and had as soon as one is free", func(ctx SpecContext) {
		g := up(ctx, isolatedOnly, held)
		squatter := g.actor(ctx, "isolated", "", "squatter", everybody)
		ok(g.Node("node").StartCore(ctx))
		s := g.reaches(ctx, "node", "says that all are taken", func(s lab.Status) bool {
			return strings.Contains(s.WaitsFor+s.LastError, "253")
		})
		Expect(s.Phase).To(Equal("network"))
		squatter.tell(ctx, "release", "10.254.254.77")
		Expect(g.reaches(ctx, "node", "managed over fallback", way("fallback")).Address).To(Equal("10.254.254.77/24"))
	}, patience)

	It("T9 is never the same on two nodes that start at once, however few are free", func(ctx SpecContext) {
		g := up(ctx, strings.Replace(isolatedOnly, "{name: node,", "{name: node, count: 2,", 1), held)
		g.actor(ctx, "isolated", "", "squatter", everybody, "--except", "10.254.254.77-78")
		for _, n := range g.Nodes() {
			ok(n.StartCore(ctx))
		}
		g.managed(ctx)
		var have []netip.Prefix
		for _, row := range g.Status(ctx).Nodes {
			have = append(have, netip.MustParsePrefix(row.Address))
		}
		Expect(have).To(ConsistOf(netip.MustParsePrefix("10.254.254.77/24"), netip.MustParsePrefix("10.254.254.78/24")))
	}, patience)
})
