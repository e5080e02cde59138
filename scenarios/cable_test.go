package scenarios

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

var _ = Describe("a cut cable", netns, vm, func() {
	DescribeTable("T7 costs nothing when it is short, and is got over when it is long",
		func(ctx SpecContext, topology, want string) {
			g := up(ctx, topology)
			before := g.reaches(ctx, "node", "managed over "+want, way(want))

			By("a flap: the session does not even notice")
			g.flap(ctx, "node")
			r, err := g.AC("ac1").Exec(ctx, g.Node("node"), "hostname")
			ok(err)
			Expect(r.Stdout).To(Equal("node\n"))
			after := g.status(ctx, "node")
			Expect(after.Since).To(Equal(before.Since), "managed without a break")
			Expect(after.Address).To(Equal(before.Address))

			By("no cable until the node has given the session up")
			g.pullCable(ctx, "node")
			g.reaches(ctx, "node", "gives up", func(s lab.Status) bool { return s.Phase != "managed" })
			g.putCableBack(ctx, "node")
			g.reaches(ctx, "node", "managed as before", by(want, bare(before.Address)))
		},
		Entry("with an address of net.toml", officeOnly, "configured", patience, short),
		Entry("with a lease", dhcpOnly, "dhcp", patience),
		Entry("with a fallback address", isolatedOnly, "fallback", patience),
	)

	It("T7 in the middle of DHCP does not keep a node from its lease", func(ctx SpecContext) {
		g := up(ctx, scripted, held)
		server := g.server(ctx, "slow 1s")
		ok(g.Node("node").StartCore(ctx))
		server.says(ctx, "message", event{"type": "DISCOVER"})
		g.flap(ctx, "node")
		g.reaches(ctx, "node", "managed over DHCP", way("dhcp"))
	}, patience)

	It("T7 in the middle of probing does not keep a node from a fallback address", func(ctx SpecContext) {
		g := up(ctx, isolatedOnly, held)
		ok(g.Node("node").StartCore(ctx))
		g.reaches(ctx, "node", "looks for an address", func(s lab.Status) bool { return strings.HasPrefix(s.WaitsFor, "a fallback address") })
		g.flap(ctx, "node")
		g.reaches(ctx, "node", "managed over fallback", way("fallback"))
	}, patience)
})
