package scenarios

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// server puts the scripted DHCP server on the segment dhcp.
func (g *grid) server(ctx context.Context, mode string, more ...string) *party {
	GinkgoHelper()
	args := []string{"--server", "192.168.8.1/24", "--pool", "192.168.8.100-150", "--lease", "10s", "--mode", mode}
	return g.actor(ctx, "dhcp", "192.168.8.1/24", "dhcp", append(args, more...)...)
}

// way is the condition of being managed by a way.
func way(want string) func(lab.Status) bool {
	return func(s lab.Status) bool { return s.Phase == "managed" && s.Way == want }
}

var _ = Describe("DHCP", netns, vm, func() {
	It("that is silent leaves a node to fallback", func(ctx SpecContext) {
		g := up(ctx, scripted, held)
		server := g.server(ctx, "silent")
		ok(g.Node("node").StartCore(ctx))
		server.says(ctx, "message", event{"type": "DISCOVER", "answer": ""})
		g.reaches(ctx, "node", "managed over fallback", way("fallback"))
	}, patience)

	It("T4 that leads nowhere is given back, with its routes and DNS", func(ctx SpecContext) {
		g := up(ctx, scripted, held)
		server := g.server(ctx, "nowhere")
		ok(g.Node("node").StartCore(ctx))
		server.says(ctx, "message", event{"type": "REQUEST", "answer": "ACK", "address": "198.51.100."})
		g.reaches(ctx, "node", "managed over fallback", way("fallback"))
		Expect(g.network(ctx, "node")).NotTo(ContainSubstring("198.51.100"))
		Expect(g.inside(ctx, "node", "ip", "-4", "route")).NotTo(ContainSubstring("default"))
	}, patience)

	It("that comes back is used again, and a running job outlives the way back", func(ctx SpecContext) {
		g := up(ctx, scripted, held)
		server := g.server(ctx, "silent")
		ok(g.Node("node").StartCore(ctx))
		g.reaches(ctx, "node", "managed over fallback", way("fallback"))

		type answer struct {
			lab.Result
			err error
		}
		done := make(chan answer, 1)
		go func() {
			r, err := g.AC("ac1").Exec(ctx, g.Node("node"), "sh", "-c", "echo begun; while [ ! -e /run/go-on ]; do sleep 0.1; done; echo ended")
			done <- answer{r, err}
		}()
		server.tell(ctx, "normal")
		g.reaches(ctx, "node", "managed over DHCP", way("dhcp"))
		g.inside(ctx, "node", "touch", "/run/go-on")
		var a answer
		Eventually(ctx, done).WithTimeout(stepTimeout()).Should(Receive(&a))
		ok(a.err)
		Expect(a.Result).To(Equal(lab.Result{Stdout: "begun\nended\n"}))
	}, patience)

	It("T8 that does not renew a lease loses the node, which withdraws the address", func(ctx SpecContext) {
		g := up(ctx, scripted, held)
		server := g.server(ctx, "normal")
		ok(g.Node("node").StartCore(ctx))
		g.reaches(ctx, "node", "managed over DHCP", way("dhcp"))
		server.tell(ctx, "silent")
		g.reaches(ctx, "node", "managed over fallback", way("fallback"))
		Expect(g.inside(ctx, "node", "ip", "-4", "address", "show", "dev", "eth0")).NotTo(ContainSubstring("192.168.8."))
	}, patience)

	It("that offers an address in use has it declined", func(ctx SpecContext) {
		g := up(ctx, scripted, held)
		g.actor(ctx, "dhcp", "", "squatter", "192.168.8.100")
		server := g.server(ctx, "normal")
		ok(g.Node("node").StartCore(ctx))
		server.says(ctx, "message", event{"type": "DECLINE", "requested": "192.168.8.100"})
		s := g.reaches(ctx, "node", "managed over DHCP", way("dhcp"))
		Expect(s.Address).NotTo(HavePrefix("192.168.8.100/"))
	}, patience)

	It("of a foreign server, which answers too, does not keep a node out", func(ctx SpecContext) {
		g := up(ctx, scripted, held)
		g.server(ctx, "slow 300ms")
		g.actor(ctx, "dhcp", "198.51.100.1/24", "dhcp", "--server", "198.51.100.1/24", "--pool", "198.51.100.10-20", "--lease", "10s")
		ok(g.Node("node").StartCore(ctx))
		g.managed(ctx)
	}, patience)

	DescribeTable("that misbehaves otherwise leaves a node to fallback, and takes it back once it behaves",
		func(ctx SpecContext, mode string) {
			g := up(ctx, scripted, held)
			server := g.server(ctx, mode)
			ok(g.Node("node").StartCore(ctx))
			g.reaches(ctx, "node", "managed over fallback", way("fallback"))
			server.tell(ctx, "normal")
			g.reaches(ctx, "node", "managed over DHCP", way("dhcp"))
		},
		Entry("NAK", "nak", patience, short),
		Entry("offers without an ACK", "offer-only", patience, long),
		Entry("an exhausted pool", "exhausted", patience, long),
		Entry("T3 an answer that comes too late", "slow 60s", patience),
	)
})
