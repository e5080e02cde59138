package scenarios

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a wrong clock", netns, vm, func() {
	DescribeTable("T11 neither keeps a node out nor makes it rotate its certificate",
		func(ctx SpecContext, now time.Time) {
			g := up(ctx, officeOnly, held)
			n, skew := g.Node("node"), time.Until(now).Round(time.Second)
			By("at the first boot, when there is nothing yet")
			ok(n.StartCoreWith(ctx, skew))
			g.managed(ctx)
			certificate := func() string { return g.inside(ctx, "node", "sha256sum", "/mnt/etc/ssl/client.crt") }
			before := certificate()

			By("at the second one, with a certificate that is not of that time")
			ok(n.PowerCut(ctx))
			ok(n.PowerOnHeld(ctx))
			ok(n.StartCoreWith(ctx, skew))
			g.managed(ctx)
			Expect(certificate()).To(Equal(before))
			Expect(g.coreLog(ctx, n)).To(ContainSubstring("clock was plainly wrong"))
		},
		Entry("of 1970", time.Unix(0, 0), patience, short),
		Entry("of 2038", time.Date(2038, 1, 20, 0, 0, 0, 0, time.UTC), patience),
	)
})
