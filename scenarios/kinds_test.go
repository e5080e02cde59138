package scenarios

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// twoInOffice are two nodes whose net.toml the spec writes.
const twoInOffice = `
segments:
  - {name: office, subnet: 192.168.7.0/24}
acs:
  - {name: ac1, fallback: false, legs: [{segment: office, address: 192.168.7.2}]}
nodes:
  - {name: left, nics: [{segment: office, method: static, address: 192.168.7.11}]}
  - {name: right, nics: [{segment: office, method: static, address: 192.168.7.12}]}
`

// sixInOffice has IPv6 switched on.
const sixInOffice = "ipv6: true" + `
segments:
  - {name: office, subnet: 192.168.7.0/24}
acs:
  - {name: ac1, fallback: false, legs: [{segment: office, address: 192.168.7.2}]}
nodes:
  - {name: node, nics: [{segment: office}]}
`

// vswitchd runs an Open vSwitch of the node's own, where the tools look for it:
// /run is private to a node.
func (g *grid) vswitchd(ctx context.Context, node string) {
	GinkgoHelper()
	g.inside(ctx, node, "sh", "-ec", `
		mkdir -p /run/openvswitch
		export OVS_RUNDIR=/run/openvswitch OVS_DBDIR=/run/openvswitch OVS_LOGDIR=/run/openvswitch
		ovsdb-tool create $OVS_DBDIR/conf.db /usr/share/openvswitch/vswitch.ovsschema
		ovsdb-server $OVS_DBDIR/conf.db --remote=punix:$OVS_RUNDIR/db.sock -vsyslog:off -vconsole:off --pidfile --detach >/dev/null 2>&1
		ovs-vsctl --no-wait init
		ovs-vswitchd unix:$OVS_RUNDIR/db.sock -vsyslog:off -vconsole:off --pidfile --detach >/dev/null 2>&1
	`)
}

// pings that arrive, all of them.
func (g *grid) pings(ctx context.Context, node, address string) {
	GinkgoHelper()
	Eventually(ctx, func() int {
		r, err := g.Node(node).Exec(ctx, "ping", "-c", "2", "-i", "0.2", "-W", "1", address)
		ok(err)
		return r.Code
	}).WithTimeout(stepTimeout()).Should(BeZero(), "%s pings %s", node, address)
}

var _ = Describe("a kind of interface", netns, vm, func() {
	It("vxlan, on a bridge at one end, carries traffic between two nodes", func(ctx SpecContext) {
		g := up(ctx, twoInOffice, held)
		base := func(own, other string) string {
			return known + on("eth0", `address = ["192.168.7.`+own+`/24"]`) +
				on("storage", `kind = "vxlan"`, `vni = 42`, `local = "192.168.7.`+own+`"`, `remote = "192.168.7.`+other+`"`)
		}
		ok(g.Node("left").WriteNetToml(base("11", "12") + `address = ["10.42.0.1/24"]` + "\n"))
		ok(g.Node("right").WriteNetToml(base("12", "11") + "method = \"none\"\n" +
			on("br0", `kind = "bridge"`, `ports = ["storage"]`, `address = ["10.42.0.2/24"]`)))
		for _, n := range g.Nodes() {
			ok(n.StartCore(ctx))
		}
		g.managed(ctx)
		wire := g.overhear("office")
		g.pings(ctx, "left", "10.42.0.2")
		inner := strings.TrimSpace(g.inside(ctx, "right", "cat", "/sys/class/net/br0/address"))
		Eventually(ctx, func() bool { return wire.mentions(inner) }).WithTimeout(stepTimeout()).Should(BeTrue(), "a frame within a frame")
		for _, n := range g.Nodes() {
			Expect(g.status(ctx, n.Name()).Warnings).To(BeEmpty())
		}
	}, patience)

	DescribeTable("that the kernel may lack is made, or refused with that reason; the rest of the file applies",
		func(ctx SpecContext, kind, option, section string) {
			g := up(ctx, changeable, held)
			has := g.kernelMakes(ctx, kind)
			ok(g.Node("node").WriteNetToml(known + on("eth0", `address = ["192.168.7.10/24"]`) + on("extra", `kind = "`+kind+`"`, section, `method = "none"`)))
			ok(g.Node("node").StartCore(ctx))
			s := g.reaches(ctx, "node", "managed", by("configured", "192.168.7.10"))
			if has {
				Expect(s.Warnings).To(BeEmpty())
				Expect(g.inside(ctx, "node", "ip", "-d", "link", "show", "dev", "extra")).To(ContainSubstring(kind))
				return
			}
			Expect(s.Warnings).To(ContainElement(And(ContainSubstring(kind+" extra"), ContainSubstring("kernel has no"), ContainSubstring(option))))
		},
		Entry("vlan", "vlan", "CONFIG_VLAN_8021Q", "parent = \"eth0\"\nid = 42", patience),
		Entry("bond", "bond", "CONFIG_BONDING", `ports = ["eth1"]`, patience),
	)

	It("physical has all that net.toml says: addresses of both families, MTU, routes, name servers; and an AC is reached by IPv6", func(ctx SpecContext) {
		g := up(ctx, sixInOffice, held)
		g.atController("ip", "address", "add", "fd00:7::2/64", "dev", "eth0", "nodad")
		ok(g.Node("node").WriteNetToml(`controllers = ["https://[fd00:7::2]:8966"]` + "\n" + on("eth0",
			`address = ["192.168.7.10/24", "10.1.0.10/16", "fd00:7::10/64"]`, `gateway = ["192.168.7.1", "fd00:7::1"]`,
			`dns = ["192.168.7.1", "fd00:7::53"]`, `mtu = 1400`,
			`routes = [{ to = "172.16.0.0/12", via = "192.168.7.254", metric = 10 }, { to = "fd00:8::/64", via = "fd00:7::8" }]`)))
		ok(g.Node("node").StartCore(ctx))
		s := g.reaches(ctx, "node", "managed over IPv6", by("configured", "fd00:7::10"))
		Expect(s.Controller).To(Equal("https://[fd00:7::2]:8966"))
		have := g.network(ctx, "node")
		for _, want := range []string{"192.168.7.10/24", "10.1.0.10/16", "fd00:7::10/64", "default via 192.168.7.1 dev eth0", "default via fd00:7::1 dev eth0",
			"172.16.0.0/12 via 192.168.7.254 dev eth0", "metric 10", "fd00:8::/64 via fd00:7::8 dev eth0", "nameserver 192.168.7.1\n", "nameserver fd00:7::53\n", "mtu 1400"} {
			Expect(have).To(ContainSubstring(want))
		}
	}, patience)
})

var _ = Describe("an Open vSwitch", netns, Label("not vm: the tools layer has specs of its own for it"), func() {
	It("bridge carries the node's own session, and so does an Open vSwitch with a port of its own", func(ctx SpecContext) {
		g := up(ctx, twoInOffice, held)
		g.vswitchd(ctx, "right")
		ok(g.Node("left").WriteNetToml(known + on("br0", `kind = "bridge"`, `ports = ["eth0"]`, `address = ["192.168.7.11/24"]`)))
		ok(g.Node("right").WriteNetToml(known + on("ovs0", `kind = "ovs"`, `ports = ["eth0"]`, `method = "none"`) +
			on("mgmt", `kind = "ovs"`, `bridge = "ovs0"`, `address = ["192.168.7.12/24"]`)))
		for _, n := range g.Nodes() {
			ok(n.StartCore(ctx))
		}
		Expect(g.reaches(ctx, "left", "managed", by("configured", "192.168.7.11")).Interface).To(Equal("br0"))
		Expect(g.reaches(ctx, "right", "managed", by("configured", "192.168.7.12")).Interface).To(Equal("mgmt"))
		g.pings(ctx, "left", "192.168.7.12")
	}, patience)
})

// kernelMakes says whether the kernel has a kind, by trying.
func (g *grid) kernelMakes(ctx context.Context, kind string) bool {
	GinkgoHelper()
	argv := []string{"ip", "link", "add", "name", "trial", "type", kind}
	if kind == "vlan" {
		argv = []string{"ip", "link", "add", "link", "eth0", "name", "trial", "type", kind, "id", "7"}
	}
	r, err := g.Node("node").Exec(ctx, argv...)
	ok(err)
	if r.Code == 0 {
		g.inside(ctx, "node", "ip", "link", "del", "trial")
	}
	return r.Code == 0
}
