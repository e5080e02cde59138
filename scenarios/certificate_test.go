package scenarios

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// certificate is what makes one client certificate another than the last.
func (g *grid) certificate(ctx context.Context, node string) string {
	GinkgoHelper()
	c, err := g.clientCertificate(ctx, node)
	ok(err)
	return c.SerialNumber.String()
}

// clientCertificate is what a node has now.
func (g *grid) clientCertificate(ctx context.Context, node string) (*x509.Certificate, error) {
	r, err := g.Node(node).Exec(ctx, "cat", "/mnt/etc/ssl/client.crt")
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(r.Stdout))
	if block == nil {
		return nil, fmt.Errorf("client certificate of %s: no PEM: %s", node, r.Stderr)
	}
	return x509.ParseCertificate(block.Bytes)
}

// healed waits until a node is managed with another certificate than before,
// the new pair is whole, and a job runs.
func (g *grid) healed(ctx context.Context, node, before string) {
	GinkgoHelper()
	Eventually(ctx, func() string {
		c, err := g.clientCertificate(ctx, node)
		if err != nil {
			return before
		}
		return c.SerialNumber.String()
	}).WithTimeout(stepTimeout()).ShouldNot(Equal(before))
	g.works(ctx, node)
	_, err := tls.X509KeyPair([]byte(g.inside(ctx, node, "cat", "/mnt/etc/ssl/client.crt")), []byte(g.inside(ctx, node, "cat", "/mnt/etc/ssl/client.key")))
	ok(err)
}

// otherKey is a private key that nothing belongs to.
func otherKey() string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	ok(err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// works waits until a node is managed and does what the AC says.
func (g *grid) works(ctx context.Context, node string) {
	GinkgoHelper()
	g.reaches(ctx, node, "managed", func(s lab.Status) bool { return s.Phase == "managed" && s.WaitsFor == "" })
	Eventually(ctx, func() (lab.Result, error) {
		return g.AC("ac1").Exec(ctx, g.Node(node), "echo", "works")
	}).WithTimeout(stepTimeout()).Should(Equal(lab.Result{Stdout: "works\n"}))
}

// shortLived issues certificates for so short that they run out within a spec.
var shortLived = strings.Replace(officeOnly, "{name: ac1,", "{name: ac1, certificate_life: 12s,", 1)

var _ = Describe("a client certificate that does not hold", netns, vm, func() {
	DescribeTable("is replaced by the node itself, by one of another serial number",
		func(ctx SpecContext, damage string) {
			g := up(ctx, officeOnly)
			g.managed(ctx)
			before := g.certificate(ctx, "node")
			g.inside(ctx, "node", "sh", "-ec", "cd /mnt/etc/ssl; "+damage+"; sync", otherKey())
			ok(g.Node("node").RestartCore(ctx))
			g.healed(ctx, "node", before)
		},
		Entry("key damaged", "echo garbage >client.key", patience, short),
		Entry("key empty", ": >client.key", patience, long),
		Entry("key lost", "rm $(readlink -f client.key)", patience, long),
		Entry("certificate damaged", "sed -i s/A/B/g $(readlink -f client.crt)", patience, long),
		Entry("certificate lost", "rm $(readlink -f client.crt)", patience, long),
		Entry("the whole folder lost", "rm -r /mnt/etc/ssl/*", patience),
		Entry("key of another pair", `echo "$0" >client.key`, patience),
	)

	It("is replaced before it runs out, and after it has run out while the node was off", func(ctx SpecContext) {
		g := up(ctx, shortLived)
		g.managed(ctx)
		first := g.certificate(ctx, "node")
		g.healed(ctx, "node", first)

		By("off, until it has run out")
		ok(g.Node("node").PowerCut(ctx))
		held := g.record(ctx, "node", HaveField("CertificateExpires", Not(BeNil())))
		Eventually(ctx, timeNow).WithTimeout(stepTimeout()).Should(BeTemporally(">", *held.CertificateExpires))
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
