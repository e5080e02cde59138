package scenarios

import (
	"encoding/hex"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("an issuing CA", netns, notVM, func() {
	It("that is retired is on every node's list within a second, and an AC with a certificate of its is believed no more", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		list := func() string {
			return strings.TrimSpace(g.inside(ctx, "node", "sh", "-c", "cat /mnt/etc/ssl/revoked-cas 2>/dev/null || true"))
		}
		Expect(list()).To(BeEmpty())
		g.done(ctx, "", "rotate", "ca", "--watch")
		Eventually(ctx, list).WithTimeout(3 * time.Second).WithPolling(50 * time.Millisecond).Should(MatchRegexp(`^[0-9a-f]{8,}$`))

		By("the AC has a certificate of the new one, and its nodes come back")
		g.reboots(ctx, "node")
		g.works(ctx, "node")
		Expect(list()).NotTo(BeEmpty(), "it outlives a power cut")

		By("an AC whose issuing CA is on the list is no AC")
		cert, err := g.clientCertificate(ctx, "node")
		ok(err)
		issuer := hex.EncodeToString(cert.AuthorityKeyId)
		g.inside(ctx, "node", "sh", "-ec", `echo "$0" >>/mnt/etc/ssl/revoked-cas`, issuer)
		ok(g.AC("ac1").Kill(ctx))
		ok(g.AC("ac1").Start(ctx))
		g.logged(ctx, g.Node("node"), "is revoked in this grid")
	}, patience)
})
