package scenarios

import (
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a lease", netns, vm, func() {
	It("is renewed, and rebound after the server has moved, without the session noticing", func(ctx SpecContext) {
		g := up(ctx, scripted, held)
		first := g.server(ctx, "normal")
		ok(g.Node("node").StartCore(ctx))
		before := g.reaches(ctx, "node", "managed over DHCP", way("dhcp"))
		granted := func(p *party) int {
			n := 0
			for _, e := range p.events("message") {
				if fits(e, event{"type": "REQUEST", "answer": "ACK", "address": bare(before.Address)}) {
					n++
				}
			}
			return n
		}
		By("renewing")
		Eventually(ctx, func() int { return granted(first) }).WithTimeout(stepTimeout()).Should(BeNumerically(">=", 3))

		By("rebinding at another server, which knows nothing of the lease")
		ok(first.Signal(ctx, syscall.SIGKILL))
		second := g.actor(ctx, "dhcp", "192.168.8.3/24", "dhcp", "--server", "192.168.8.3/24", "--pool", "192.168.8.100-150", "--lease", "10s")
		Eventually(ctx, func() int { return granted(second) }).WithTimeout(stepTimeout()).Should(BeNumerically(">=", 2))
		Expect(second.events("message")).NotTo(ContainElement(HaveKeyWithValue("type", "DISCOVER")), "the lease never ran out")
		after := g.status(ctx, "node")
		Expect(after.Phase).To(Equal("managed"))
		Expect(after.Since).To(Equal(before.Since), "managed without a break")
	}, patience)

	It("T8 that runs out goes with its routes and name servers, and all comes back with the server", func(ctx SpecContext) {
		g := up(ctx, scripted, held)
		server := g.server(ctx, "normal", "--router", "192.168.8.1", "--dns", "192.168.8.53")
		ok(g.Node("node").StartCore(ctx))
		g.reaches(ctx, "node", "managed over DHCP", way("dhcp"))
		lent := And(ContainSubstring("default via 192.168.8.1"), ContainSubstring("nameserver 192.168.8.53"))
		Expect(g.network(ctx, "node")).To(lent)
		server.tell(ctx, "silent")
		g.reaches(ctx, "node", "managed over fallback", way("fallback"))
		Expect(g.network(ctx, "node")).NotTo(ContainSubstring("192.168.8."))
		server.tell(ctx, "normal")
		g.reaches(ctx, "node", "managed over DHCP", way("dhcp"))
		Expect(g.network(ctx, "node")).To(And(lent, Not(ContainSubstring("10.254.254."))))
	}, patience)
})
