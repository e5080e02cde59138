package scenarios

import (
	"context"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// warns says whether a node's console shows a text.
func warns(text string) func(lab.Status) bool {
	return func(s lab.Status) bool { return strings.Contains(strings.Join(s.Warnings, "\n"), text) }
}

// alone has a node boot while there is no AC.
func (g *grid) alone(ctx context.Context, node string) {
	GinkgoHelper()
	g.reboots(ctx, node)
	g.reaches(ctx, node, "without an AC", waits("network", ""))
}

// shut demands that a node's volume is not open.
func (g *grid) shut(ctx context.Context, node string) {
	GinkgoHelper()
	Expect(g.inside(ctx, node, "sh", "-c", "find /mnt/etc -type f 2>/dev/null || true")).To(BeEmpty())
}

var _ = Describe("grace", netns, notVM, func() {
	DescribeTable("opens a node's volume without an AC, so often and not longer, and says what it trades",
		func(ctx SpecContext, topology, trade string) {
			needsTPM()
			g := up(ctx, topology)
			g.managed(ctx)
			Expect(warns("grace")(g.status(ctx, "node"))).To(BeFalse(), "it is off unless it is set")
			g.done(ctx, "", "grace", "set", "node", "--for", "24h", "--boots", "1")
			g.reaches(ctx, "node", "has a grace", warns(trade))
			Expect(g.done(ctx, "", "grace", "show")).To(ContainSubstring("24h0m0s, 1 boots"))
			g.audited(ctx, "node", "grace", "granted", "operator")

			g.inside(ctx, "node", "sh", "-c", "mkdir -p /mnt/etc/services.d && printf '[service.app]\\ncommand = \"exec sleep 3000\"\\n' >/mnt/etc/services.d/app.toml")

			By("the first boot without an AC")
			ok(g.AC("ac1").Kill(ctx))
			g.alone(ctx, "node")
			s := g.reaches(ctx, "node", "open by grace", warns("opened without an AC"))
			Expect(s.Phase).To(Equal("network"), "it is managed with an AC only")
			Expect(warns(trade)(s)).To(BeTrue())
			Expect(g.inside(ctx, "node", "ls", "/mnt/etc/ssl")).To(ContainSubstring("client.key"))
			Eventually(ctx, func() string { return g.inside(ctx, "node", g.program(ctx, "node"), "services") }).WithTimeout(stepTimeout()).Should(MatchRegexp(`app +ready`))
			image := GinkgoT().TempDir()
			ok(os.CopyFS(image, os.DirFS(g.Node("node").Disk())))

			By("the second one")
			g.alone(ctx, "node")
			g.reaches(ctx, "node", "says why not", warns("grace"))
			g.reaches(ctx, "node", "says why not", func(s lab.Status) bool { return warns("used up")(s) || warns("limits are passed")(s) })
			g.shut(ctx, "node")

			By("an AC is there again")
			ok(g.AC("ac1").Start(ctx))
			g.works(ctx, "node")
			g.reaches(ctx, "node", "has its grace again", warns("1 boots are left"))
		},
		Entry("with a TPM", chipped, "who steals the whole machine", patience),
		Entry("without one", officeOnly, "there is no TPM", patience),
	)

	It("is not brought back by an old image of the disk, where a TPM holds it", func(ctx SpecContext) {
		needsTPM()
		g := up(ctx, chipped)
		g.managed(ctx)
		n := g.Node("node")
		g.done(ctx, "", "grace", "set", "node", "--for", "24h", "--boots", "1")
		g.reaches(ctx, "node", "has a grace", warns("1 boots are left"))
		image, err := os.ReadFile(n.Disk() + "/grace")
		ok(err)
		ok(g.AC("ac1").Kill(ctx))
		g.alone(ctx, "node")
		g.reaches(ctx, "node", "open by grace", warns("opened without an AC"))

		By("the boot counter is copied back")
		ok(n.PowerCut(ctx))
		ok(os.WriteFile(n.Disk()+"/grace", image, 0o600))
		ok(n.PowerOn(ctx))
		g.reaches(ctx, "node", "refused by its TPM", warns("the TPM says that its limits are passed"))
		g.shut(ctx, "node")
	}, patience)

	It("ends with its time, also when the clock is set back afterwards", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		n := g.Node("node")
		g.done(ctx, "", "grace", "set", "node", "--for", "1h", "--boots", "9")
		g.reaches(ctx, "node", "has a grace", warns("9 boots are left"))
		ok(g.AC("ac1").Kill(ctx))
		for _, skew := range []time.Duration{2 * time.Hour, -time.Hour} {
			ok(n.PowerCut(ctx))
			ok(n.PowerOnHeld(ctx))
			ok(n.StartCoreWith(ctx, skew))
			g.reaches(ctx, "node", "says that it is over", warns("grace is over since"))
			g.shut(ctx, "node")
		}
	}, patience)

	It("ends when an operator says so, and when an AC refuses the node", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		n := g.Node("node")
		gone := func() bool { _, err := os.Stat(n.Disk() + "/grace"); return os.IsNotExist(err) }
		g.done(ctx, "", "grace", "set", "--all")
		g.reaches(ctx, "node", "has a grace", warns("3 boots are left"))
		g.done(ctx, "", "grace", "clear", "node")
		Eventually(ctx, gone).WithTimeout(stepTimeout()).Should(BeTrue())

		g.done(ctx, "", "grace", "set", "--all")
		g.reaches(ctx, "node", "has a grace", warns("3 boots are left"))
		g.done(ctx, "", "node", "quarantine", "node")
		g.reaches(ctx, "node", "refused", waits("unlock", "refused"))
		Eventually(ctx, gone).WithTimeout(stepTimeout()).Should(BeTrue())
	}, patience)
})
