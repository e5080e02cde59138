package scenarios

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// certificate is what makes one client certificate another than the last.
func (g *grid) certificate(ctx context.Context, node string) string {
	GinkgoHelper()
	return strings.TrimSpace(g.inside(ctx, node, "openssl", "x509", "-noout", "-serial", "-in", "/mnt/etc/ssl/client.crt"))
}

// healed waits until a node is managed with another certificate than before,
// the new pair is whole, and a job runs.
func (g *grid) healed(ctx context.Context, node, before string) {
	GinkgoHelper()
	n := g.Node(node)
	Eventually(ctx, func() string {
		r, err := n.Exec(ctx, "openssl", "x509", "-noout", "-serial", "-in", "/mnt/etc/ssl/client.crt")
		if err != nil || r.Code != 0 {
			return before
		}
		return strings.TrimSpace(r.Stdout)
	}).WithTimeout(contextTimeout(ctx)).ShouldNot(Equal(before))
	g.works(ctx, node)
	ofCertificate := g.inside(ctx, node, "openssl", "x509", "-noout", "-pubkey", "-in", "/mnt/etc/ssl/client.crt")
	Expect(g.inside(ctx, node, "openssl", "pkey", "-pubout", "-in", "/mnt/etc/ssl/client.key")).To(Equal(ofCertificate))
}

// works waits until a node is managed and does what the AC says.
func (g *grid) works(ctx context.Context, node string) {
	GinkgoHelper()
	g.reaches(ctx, node, "managed", func(s lab.Status) bool { return s.Phase == "managed" && s.WaitsFor == "" })
	Eventually(ctx, func() (lab.Result, error) {
		return g.AC("ac1").Exec(ctx, g.Node(node), "echo", "works")
	}).WithTimeout(contextTimeout(ctx)).Should(Equal(lab.Result{Stdout: "works\n"}))
}

// shortLived issues certificates for so short that they run out within a spec.
var shortLived = strings.Replace(officeOnly, "{name: ac1,", "{name: ac1, certificate_life: 12s,", 1)

var _ = Describe("a client certificate that does not hold", netns, func() {
	DescribeTable("is replaced by the node itself, by one of another serial number",
		func(ctx SpecContext, damage string) {
			g := up(ctx, officeOnly)
			g.managed(ctx)
			before := g.certificate(ctx, "node")
			g.inside(ctx, "node", "sh", "-ec", "cd /mnt/etc/ssl; "+damage)
			ok(g.Node("node").RestartCore(ctx))
			g.healed(ctx, "node", before)
		},
		Entry("key damaged", "echo garbage >client.key", patience),
		Entry("key empty", ": >client.key", patience),
		Entry("key lost", "rm $(readlink -f client.key)", patience),
		Entry("certificate damaged", "sed -i s/A/B/g $(readlink -f client.crt)", patience),
		Entry("certificate lost", "rm $(readlink -f client.crt)", patience),
		Entry("the whole folder lost", "rm -r /mnt/etc/ssl/*", patience),
		Entry("key of another pair", "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 >client.key", patience),
	)

	It("is replaced before it runs out, and after it has run out while the node was off", func(ctx SpecContext) {
		g := up(ctx, shortLived)
		g.managed(ctx)
		first := g.certificate(ctx, "node")
		g.healed(ctx, "node", first)

		By("off, until it has run out")
		ok(g.Node("node").PowerCut(ctx))
		held := g.record(ctx, "node", HaveField("CertificateExpires", Not(BeNil())))
		Eventually(ctx, timeNow).WithTimeout(contextTimeout(ctx)).Should(BeTemporally(">", *held.CertificateExpires))
		ok(g.Node("node").PowerOn(ctx))
		g.works(ctx, "node")
		g.record(ctx, "node", HaveField("CertificateExpires", HaveValue(BeTemporally(">", *held.CertificateExpires))))
	}, patience)

	It("is replaced when the AC revokes it, while the node is managed", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		before := g.certificate(ctx, "node")
		ok(g.AC("ac1").Arm(ctx, "revoke"))
		g.healed(ctx, "node", before)
		ok(g.AC("ac1").Clear(ctx, "revoke"))
		g.works(ctx, "node")
	}, patience)
})
