package scenarios

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/topologies"
)

var _ = Describe("the three ways", netns, vm, func() {
	It("brings every node of the default grid from power-on to managed, each segment by its own way", short, func(ctx SpecContext) {
		g := up(ctx, string(topologies.Default))
		g.managed(ctx)

		By("the way, the address and the controller fit the segment; who came up another way finds back")
		ways := map[string]string{"office": "configured", "dhcp": "dhcp", "isolated": "fallback"}
		for _, row := range g.Status(ctx).Nodes {
			g.reaches(ctx, row.Name, "managed over "+ways[row.Segment], way(ways[row.Segment]))
		}
		for _, row := range g.Status(ctx).Nodes {
			address, err := netip.ParsePrefix(row.Address)
			ok(err, row.Name)
			want := map[string]struct{ network, controller string }{
				"office":   {"192.168.7.0/24", "https://192.168.7.2:8966"},
				"dhcp":     {"192.168.8.0/24", "https://192.168.8.2:8966"},
				"isolated": {"10.254.254.0/24", "https://10.254.254.254:8966"},
			}[row.Segment]
			Expect(row.Way).To(Equal(ways[row.Segment]), row.Name)
			Expect(address.Masked().String()).To(Equal(want.network), row.Name)
			Expect(row.Controller).To(Equal(want.controller), row.Name)
			Expect(row.ManagedAfterMS).To(BeNumerically(">", 0), row.Name)
		}

		By("the AC says the same, and has issued certificates")
		for _, n := range g.Nodes() {
			Eventually(ctx, func() (lab.NodeRecord, error) { return g.AC("ac1").Node(ctx, n) }).WithTimeout(stepTimeout()).Should(And(
				HaveField("State", BeEquivalentTo("enrolled")),
				HaveField("Phase", "managed"),
				HaveField("Way", g.status(ctx, n.Name()).Way),
				HaveField("CertificateExpires", Not(BeNil())),
			), n.Name())
		}

		By("a command comes back with its output and exit code")
		for _, n := range g.Nodes() {
			r, err := g.AC("ac1").Exec(ctx, n, "sh", "-c", "hostname; echo problem >&2; exit 7")
			ok(err, n.Name())
			Expect(r).To(Equal(lab.Result{Stdout: n.Name() + "\n", Stderr: "problem\n", Code: 7}))
		}
	}, patience)

	It("T1 leaves 127.0.0.1 on lo, whichever way", func(ctx SpecContext) {
		g := up(ctx, isolatedOnly)
		g.managed(ctx)
		Expect(g.inside(ctx, "node", "ip", "-4", "address", "show", "dev", "lo")).To(ContainSubstring("inet 127.0.0.1/8"))
	}, patience)

	It("climbs again after a power cut, with the volume it made the first time", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		before := g.inside(ctx, "node", "sha256sum", "/mnt/etc/ssl/client.key")
		ok(g.Node("node").PowerCut(ctx))
		ok(g.Node("node").PowerOn(ctx))
		g.managed(ctx)
		Expect(g.inside(ctx, "node", "sha256sum", "/mnt/etc/ssl/client.key")).To(Equal(before))
	}, patience)
})
