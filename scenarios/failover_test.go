package scenarios

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// twoLegs has an AC that can be reached in two ways, both in net.toml.
const twoLegs = `
segments:
  - {name: left, subnet: 192.168.7.0/24}
  - {name: right, subnet: 192.168.9.0/24}
acs:
  - {name: ac1, fallback: false, legs: [{segment: left, address: 192.168.7.2}, {segment: right, address: 192.168.9.2}]}
nodes:
  - {name: node, nics: [{segment: left, method: static}, {segment: right, method: static}]}
`

// failoverBound is the silence after which a session is dead (15 s), two looks
// for the lost controller, a round, and a loaded machine.
const failoverBound = 45 * time.Second

// named puts a DHCP server that also answers for a controller's name on the
// segment dhcp.
func (g *grid) named(ctx context.Context, name, address string) {
	GinkgoHelper()
	host, err := g.Segment("dhcp").AddHost(ctx, "named", "192.168.8.1/24")
	ok(err)
	_, err = host.Start(ctx, "dnsmasq", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--interface=eth0", "--bind-interfaces",
		"--except-interface=lo", "--dhcp-authoritative", "--log-dhcp", "--log-queries", "--log-facility=-", "--pid-file=", "--user=root",
		"--no-hosts", "--no-resolv", "--no-ping", "--dhcp-leasefile="+filepath.Join(g.Dir(), "named.leases"),
		"--dhcp-range=192.168.8.10,192.168.8.250,2m", "--dhcp-option=option:dns-server,192.168.8.1", "--dhcp-option=option:router",
		fmt.Sprintf("--address=/%s/%s", name, address))
	ok(err)
}

var _ = Describe("the controllers of net.toml", netns, vm, func() {
	It("stand in for one another when one is black-holed, within a bound", func(ctx SpecContext) {
		g := up(ctx, officeOnly, held)
		const first, second = "https://192.168.7.2:8966", "https://192.168.7.3:8966"
		g.atController("ip", "address", "add", "192.168.7.3/24", "dev", "eth0")
		g.atController("nft", "add table ip hole; add chain ip hole in { type filter hook input priority 0; }; add rule ip hole in ip daddr 192.168.7.3 drop")
		ok(g.Node("node").WriteNetToml("controllers = [\"" + first + "\", \"" + second + "\"]\n" + on("eth0", `address = ["192.168.7.10/24"]`)))
		ok(g.Node("node").StartCore(ctx))
		over := func(controller string) func(lab.Status) bool {
			return func(s lab.Status) bool { return way("configured")(s) && s.Controller == controller }
		}
		g.reaches(ctx, "node", "managed over the first", over(first))
		g.atController("nft", "flush table ip hole; add rule ip hole in ip daddr 192.168.7.2 drop")
		bounded, cancel := context.WithTimeout(ctx, failoverBound)
		defer cancel()
		g.reaches(bounded, "node", "managed over the second", over(second))
	}, patience)

	It("are reached over another interface when nothing comes through the first, within a bound", func(ctx SpecContext) {
		g := up(ctx, twoLegs)
		nic := g.reaches(ctx, "node", "managed", way("configured")).Interface
		ok(g.Segment(map[string]string{"eth0": "left", "eth1": "right"}[nic]).Isolate(ctx, "ac1"))
		bounded, cancel := context.WithTimeout(ctx, failoverBound)
		defer cancel()
		g.reaches(bounded, "node", "managed over the other", func(s lab.Status) bool { return way("configured")(s) && s.Interface != nic })
		r, err := g.AC("ac1").Exec(ctx, g.Node("node"), "hostname")
		ok(err)
		Expect(r.Stdout).To(Equal("node\n"))
	}, patience)

	It("T5 do not keep a node from the AC of fallback when none of them can be reached", func(ctx SpecContext) {
		g := up(ctx, isolatedOnly, held)
		ok(g.Node("node").WriteNetToml(`controllers = ["https://192.0.2.1:8966", "https://ac1.grid.invalid:8966"]

[interface.eth0]
method  = "static"
address = ["192.168.7.10/24"]
gateway = "192.168.7.1"
`))
		ok(g.Node("node").StartCore(ctx))
		s := g.reaches(ctx, "node", "managed over fallback", way("fallback"))
		Expect(s.Controller).To(Equal("https://10.254.254.254:8966"))
		r, err := g.AC("ac1").Exec(ctx, g.Node("node"), "hostname")
		ok(err)
		Expect(r.Stdout).To(Equal("node\n"), "it is the one that gives the work")
	}, patience)

	It("are found by name with the name servers of the lease", func(ctx SpecContext) {
		g := up(ctx, scripted, held)
		g.named(ctx, "ac1.grid.example", "192.168.8.2")
		ok(g.Node("node").WriteNetToml(`controllers = ["https://ac1.grid.example:8966"]`))
		ok(g.Node("node").StartCore(ctx))
		Expect(g.reaches(ctx, "node", "managed over DHCP", way("dhcp")).Controller).To(Equal("https://ac1.grid.example:8966"))
	}, patience)

	It("whose name leads elsewhere are done without", func(ctx SpecContext) {
		g := up(ctx, scripted, held)
		g.named(ctx, "ac1.grid.example", "192.168.8.77")
		ok(g.Node("node").WriteNetToml(`controllers = ["https://ac1.grid.example:8966"]`))
		ok(g.Node("node").StartCore(ctx))
		g.reaches(ctx, "node", "managed over fallback", way("fallback"))
		Expect(g.network(ctx, "node")).NotTo(ContainSubstring("192.168.8."))
	}, patience)

	It("T35 that restart get all their nodes back, each at its address", func(ctx SpecContext) {
		g := up(ctx, strings.Replace(isolatedOnly, "{name: node,", "{name: node, count: 5,", 1))
		g.managed(ctx)
		addresses := func() map[string]string {
			all := map[string]string{}
			for _, row := range g.Status(ctx).Nodes {
				all[row.Name] = row.Address
			}
			return all
		}
		before := addresses()
		ok(g.AC("ac1").Kill(ctx))
		for _, n := range g.Nodes() {
			g.reaches(ctx, n.Name(), "notices", func(s lab.Status) bool { return s.Phase != "managed" })
		}
		ok(g.AC("ac1").Start(ctx))
		g.managed(ctx)
		Expect(addresses()).To(Equal(before))
	}, patience)
})
