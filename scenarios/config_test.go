package scenarios

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// mistakes is a net.toml with one of many kinds on the lines that end in !!.
const mistakes = `controllers = ["https://192.168.7.2:8966",
  "ftp://192.168.7.2"] # !!
colour = "blue" # !!
what is this # !!

[interface.eth0]
method  = "static"
address = ["192.168.7.10/24",
  "192.168.7.300/24"] # !!
gateway = "10.0.0.1" # !!
adress  = "192.168.7.11/24" # !!
mtu     = "large" # !!
routes  = [{ to = "10.0.0.0/8", via = "192.168.7.9" }]

[interface.wan7] # !!
method = "dhcp"

[interface.office] # !!
kind   = "vlan"
parent = "eth0"
method = "none"

[interface.tap0] # !!
kind = "magic" # !!
method = "none"

[interface.lo] # !!
method = "dhcp"
`

// changeable has a segment on which a node can be had by every method, and one
// for fallback.
const changeable = `
segments:
  - {name: office, subnet: 192.168.7.0/24, dhcp: {first: 192.168.7.100, last: 192.168.7.150, gateway: 192.168.7.1, dns: [192.168.7.99]}}
  - name: isolated
acs:
  - {name: ac1, legs: [{segment: office, address: 192.168.7.2}, {segment: isolated}]}
nodes:
  - {name: node, nics: [{segment: office}, {segment: isolated}]}
`

const known = "controllers = [\"https://192.168.7.2:8966\"]\n"

// on is a section of net.toml.
func on(name string, lines ...string) string {
	return fmt.Sprintf("\n[interface.%s]\n%s\n", name, strings.Join(lines, "\n"))
}

var _ = Describe("net.toml", netns, vm, func() {
	It("T12 with many mistakes has a warning with file and line for each, and all the rest applies", func(ctx SpecContext) {
		g := up(ctx, officeOnly, held)
		ok(g.Node("node").WriteNetToml(mistakes))
		ok(g.Node("node").StartCore(ctx))
		s := g.reaches(ctx, "node", "managed as far as net.toml goes", by("configured", "192.168.7.10"))
		for i, line := range strings.Split(mistakes, "\n") {
			place := fmt.Sprintf("/etc/g8os/net.toml:%d: ", i+1)
			if strings.HasSuffix(line, "!!") {
				Expect(s.Warnings).To(ContainElement(HavePrefix(place)), "for %q", line)
			} else {
				Expect(s.Warnings).NotTo(ContainElement(HavePrefix(place)), "nothing is wrong with %q", line)
			}
		}
		Expect(g.inside(ctx, "node", "ip", "route")).To(ContainSubstring("10.0.0.0/8 via 192.168.7.9"))

		By("without a word of sense in it, fallback is left")
		ok(g.Node("node").PowerCut(ctx))
		ok(g.Node("node").WriteNetToml("]]]] \x00\xff\n= = =\n[interface.eth0\n\"\"\""))
		ok(g.Node("node").PowerOn(ctx))
		s = g.reaches(ctx, "node", "managed over fallback", way("fallback"))
		Expect(s.Warnings).To(ContainElement(HavePrefix("/etc/g8os/net.toml:1: ")))
	}, patience)

	It("T13 that is edited on a running node is taken over: what it no longer says is gone, what it says is there", func(ctx SpecContext) {
		g := up(ctx, changeable, held)
		n := g.Node("node")
		// to edits, and waits until the node is managed as the edited file wants.
		to := func(what string, holds func(lab.Status) bool, text string) string {
			GinkgoHelper()
			By(what)
			ok(n.WriteNetToml(known + text))
			s := g.reaches(ctx, "node", what, holds)
			Expect(s.Warnings).To(BeEmpty())
			return g.network(ctx, "node")
		}
		ok(n.WriteNetToml(known + on("eth0", `address = ["192.168.7.10/24", "172.20.1.1/24"]`, `gateway = "192.168.7.1"`, `dns = ["192.168.7.53"]`,
			`mtu = 1400`, `routes = [{ to = "10.0.0.0/8", via = "192.168.7.9" }]`)))
		ok(n.StartCore(ctx))
		g.reaches(ctx, "node", "managed", by("configured", "192.168.7.10"))
		Expect(g.network(ctx, "node")).To(And(ContainSubstring("172.20.1.1/24"), ContainSubstring("default via 192.168.7.1"), ContainSubstring("mtu 1400"),
			ContainSubstring("10.0.0.0/8 via 192.168.7.9"), ContainSubstring("nameserver 192.168.7.53")))

		have := to("another static address", by("configured", "192.168.7.11"), on("eth0", `address = ["192.168.7.11/24"]`, `dns = ["192.168.7.54"]`))
		Expect(have).To(And(ContainSubstring("192.168.7.11/24"), ContainSubstring("nameserver 192.168.7.54")))
		for _, old := range []string{"192.168.7.10/24", "172.20.1", "default via", "10.0.0.0/8", "192.168.7.53", "mtu 1400"} {
			Expect(have).NotTo(ContainSubstring(old))
		}

		have = to("static to dhcp", way("dhcp"), on("eth0", `method = "dhcp"`))
		Expect(have).To(And(ContainSubstring("default via 192.168.7.1 "), ContainSubstring("nameserver 192.168.7.99"),
			Not(ContainSubstring("192.168.7.11/24")), Not(ContainSubstring("192.168.7.54"))))

		have = to("dhcp to static", by("configured", "192.168.7.12"), on("eth0", `address = ["192.168.7.12/24"]`))
		Expect(have).NotTo(Or(ContainSubstring("default via"), ContainSubstring("nameserver"), ContainSubstring("192.168.7.1 "), ContainSubstring("192.168.7.100/")))

		have = to("a bridge is added", by("configured", "192.168.7.13"), on("br0", `kind = "bridge"`, `ports = ["eth0"]`, `address = ["192.168.7.13/24"]`))
		Expect(have).To(And(ContainSubstring("master br0"), Not(ContainSubstring("192.168.7.12/24"))))

		have = to("and removed", by("configured", "192.168.7.14"), on("eth0", `address = ["192.168.7.14/24"]`))
		Expect(have).NotTo(ContainSubstring("br0"))

		have = to("none: the node goes another way", way("fallback"), on("eth0", `method = "none"`))
		Expect(have).NotTo(ContainSubstring("192.168.7."))
		Expect(g.status(ctx, "node").Interface).To(Equal("eth1"))
	}, patience)
})
