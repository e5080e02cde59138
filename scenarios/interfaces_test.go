package scenarios

import (
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// twoNICs has the AC behind the second one.
const twoNICs = `
segments:
  - name: dead
  - name: isolated
acs:
  - {name: ac1, legs: [{segment: isolated}]}
nodes:
  - {name: node, nics: [{segment: dead}, {segment: isolated}]}
`

// hushed has two nodes with a NIC that is to be left alone, on a segment where
// both an AC and an address could be had.
const hushed = `
segments:
  - {name: hushed, subnet: 192.168.8.0/24, dhcp: {first: 192.168.8.10, last: 192.168.8.250}}
  - name: isolated
acs:
  - {name: ac1, legs: [{segment: isolated}, {segment: hushed, address: 192.168.8.2}]}
nodes:
  - {name: one, nics: [{segment: hushed, method: none}]}
  - {name: two, nics: [{segment: hushed, method: none}, {segment: isolated}]}
`

// silence is for how long an interface with method none is watched.
const silence = 40 * time.Second

var _ = Describe("interfaces", netns, vm, func() {
	DescribeTable("of which the first is dead do not keep a node out",
		func(ctx SpecContext, carrier bool) {
			g := up(ctx, twoNICs, held)
			ok(g.Node("node").SetCarrier(ctx, 0, carrier))
			ok(g.Node("node").StartCore(ctx))
			Expect(g.reaches(ctx, "node", "managed over fallback", way("fallback")).Interface).To(Equal("eth1"))
			Expect(g.inside(ctx, "node", "ip", "-o", "-4", "address", "show", "dev", "eth0")).To(BeEmpty())
		},
		Entry("because it has no carrier", false, patience),
		Entry("because nobody answers there", true, patience),
	)

	It("T2 with method none are left alone in every step, also when a node has no other", func(ctx SpecContext) {
		g := up(ctx, hushed, held)
		By("an address that somebody has put there by hand")
		g.inside(ctx, "two", "ip", "link", "set", "eth0", "up")
		g.inside(ctx, "two", "ip", "address", "add", "203.0.113.9/24", "dev", "eth0")
		state := func(node string) string {
			return g.inside(ctx, node, "ip", "-o", "address", "show", "dev", "eth0") + g.inside(ctx, node, "ip", "-o", "link", "show", "dev", "eth0")
		}
		before := map[string]string{"one": state("one"), "two": state("two")}
		wire := g.overhear("hushed")

		for _, n := range g.Nodes() {
			ok(n.StartCore(ctx))
		}
		Expect(g.reaches(ctx, "two", "managed over fallback", way("fallback")).Interface).To(Equal("eth1"))
		Consistently(ctx, func(o Gomega) {
			for _, n := range g.Nodes() {
				o.Expect(wire.mentions(n.MAC(0))).To(BeFalse(), "%s speaks on an interface with method none", n.Name())
				o.Expect(state(n.Name())).To(Equal(before[n.Name()]))
			}
		}).WithTimeout(silence).WithPolling(2 * time.Second).Should(Succeed())
		s := g.status(ctx, "one")
		Expect(s.Phase).To(Equal("network"))
		Expect(s.Round).To(BeNumerically(">", 3), "it has gone on trying")

		By("a frame of somebody else, which the capture does see")
		host, err := g.Segment("hushed").AddHost(ctx, "witness", "192.168.8.9/24")
		ok(err)
		_, err = host.Exec(ctx, "ping", "-c", "1", "-W", "1", "192.168.8.2")
		ok(err)
		Eventually(ctx, func() bool { return wire.mentions(host.MAC()) }).WithTimeout(stepTimeout()).Should(BeTrue())
	}, patience)

	It("are given back exactly as they were after a round that failed", func(ctx SpecContext) {
		g := up(ctx, strings.ReplaceAll(elsewhere, "isolated", "dhcp"), held)
		g.inside(ctx, "node", "ip", "link", "set", "eth0", "up")
		g.inside(ctx, "node", "ip", "address", "add", "203.0.113.5/24", "dev", "eth0")
		g.inside(ctx, "node", "ip", "route", "add", "198.18.0.0/15", "via", "203.0.113.1")
		g.inside(ctx, "node", "ip", "route", "add", "default", "via", "203.0.113.254")
		g.inside(ctx, "node", "sh", "-c", "printf 'search example\nnameserver 203.0.113.53\n' >/etc/resolv.conf")
		before := g.network(ctx, "node")

		server := g.server(ctx, "normal", "--router", "192.168.8.1", "--dns", "192.168.8.53")
		ok(g.Node("node").StartCore(ctx))
		By("a lease that led nowhere, and a fallback address after it")
		server.says(ctx, "message", event{"type": "REQUEST", "answer": "ACK"})
		Eventually(ctx, func() string { return g.network(ctx, "node") }).WithTimeout(stepTimeout()).WithPolling(50 * time.Millisecond).
			Should(And(ContainSubstring("192.168.8."), ContainSubstring("203.0.113.5/24")))
		server.says(ctx, "message", event{"type": "RELEASE"})
		Eventually(ctx, func() string { return g.network(ctx, "node") }).WithTimeout(stepTimeout()).WithPolling(50 * time.Millisecond).
			Should(And(ContainSubstring("10.254.254."), Not(ContainSubstring("192.168.8.")), ContainSubstring("203.0.113.5/24")))
		server.tell(ctx, "silent")
		By("the round is over")
		Eventually(ctx, func() string { return g.network(ctx, "node") }).WithTimeout(stepTimeout()).WithPolling(50 * time.Millisecond).
			Should(Equal(before))
	}, patience)

	DescribeTable("get back the address that somebody removed by hand",
		func(ctx SpecContext, topology, want string) {
			g := up(ctx, topology)
			before := g.reaches(ctx, "node", "managed over "+want, way(want))
			g.inside(ctx, "node", "ip", "address", "del", before.Address, "dev", "eth0")
			Eventually(ctx, func() string { return g.inside(ctx, "node", "ip", "-4", "address", "show", "dev", "eth0") }).
				WithTimeout(stepTimeout()).Should(ContainSubstring("inet " + before.Address))
			g.reaches(ctx, "node", "managed as before", by(want, bare(before.Address)))
			r, err := g.AC("ac1").Exec(ctx, g.Node("node"), "hostname")
			ok(err)
			Expect(r.Stdout).To(Equal("node\n"))
		},
		Entry("of net.toml", officeOnly, "configured", patience),
		Entry("of a lease", dhcpOnly, "dhcp", patience),
		Entry("of fallback", isolatedOnly, "fallback", patience),
	)

	DescribeTable("that are taken out and put in again are used again",
		func(ctx SpecContext, topology, want string) {
			g := up(ctx, topology)
			before := g.reaches(ctx, "node", "managed over "+want, way(want))
			ok(g.Node("node").Unplug(ctx, 0))
			g.reaches(ctx, "node", "notices", func(s lab.Status) bool { return s.Phase == "network" })
			ok(g.Node("node").Plug(ctx, 0))
			g.reaches(ctx, "node", "managed as before", by(want, bare(before.Address)))

			By("while no g8os_core runs")
			ok(g.Node("node").KillCore(ctx, syscall.SIGKILL))
			ok(g.Node("node").Unplug(ctx, 0))
			ok(g.Node("node").Plug(ctx, 0))
			ok(g.Node("node").StartCore(ctx))
			g.reaches(ctx, "node", "managed by the next one", by(want, bare(before.Address)))
		},
		Entry("as net.toml says", officeOnly, "configured", patience),
		Entry("with a lease", dhcpOnly, "dhcp", patience),
	)

	It("do not take a static address from a squatter, say whose it is, and move to it when it is free", func(ctx SpecContext) {
		g := up(ctx, officeOnly, held)
		address := g.Node("node").Plan().Ports[0].Address.Addr().String()
		squatter := g.actor(ctx, "office", "", "squatter", address)
		ok(g.Node("node").StartCore(ctx))
		s := g.reaches(ctx, "node", "managed over fallback", way("fallback"))
		Expect(s.Warnings).To(ContainElement(And(ContainSubstring(address), ContainSubstring(squatter.Host.MAC()))))
		Expect(g.inside(ctx, "node", "ip", "-4", "address", "show", "dev", "eth0")).NotTo(ContainSubstring(address + "/"))

		squatter.tell(ctx, "release", address)
		s = g.reaches(ctx, "node", "managed over its own address", by("configured", address))
		Expect(s.Warnings).NotTo(ContainElement(ContainSubstring(address)))
	}, patience)
})
