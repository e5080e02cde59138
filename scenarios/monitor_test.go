package scenarios

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// measuring is a grid of one node, whom nobody has to approve.
const measuring = `
segments:
  - {name: office, subnet: 192.168.7.0/24}
acs:
  - {name: ac1, legs: [{segment: office, address: 192.168.7.2}]}
nodes:
  - {name: node, nics: [{segment: office, method: static}]}
`

// filled is a small file system of a node, and the rule that watches it.
const filled = `
mkdir -p /mnt/filled && mount -t tmpfs -o size=1m filled /mnt/filled
cat >/mnt/etc/alarms.toml <<END
[filled]
measure = "disk"
on = "/mnt/filled"
above = 80
clear = 50
for = "0s"
level = 8
END
dd if=/dev/zero of=/mnt/filled/file bs=1k count=900 2>&1`

// alarms of a rule that an AC has from a node, oldest first: raised or cleared.
func (g *grid) alarms(ctx context.Context, rule string) (list []string, err error) {
	all, err := g.AC("ac1").Events(ctx, g.Node("node"))
	for _, e := range all {
		if e.Source == "alarm:"+rule {
			word, _, _ := strings.Cut(strings.TrimPrefix(string(e.Detail), `{"raised":`), ",")
			list = append(list, fmt.Sprint(e.Level, " ", word, " ", e.Name))
		}
	}
	return list, err
}

// alarmed waits until the AC has exactly such alarms of a rule.
func (g *grid) alarmed(ctx context.Context, rule string, want ...string) {
	GinkgoHelper()
	Eventually(ctx, func() ([]string, error) { return g.alarms(ctx, rule) }).WithTimeout(stepTimeout()).Should(Equal(want))
}

var _ = Describe("what nodes measure", netns, vm, func() {
	It("can be asked for, and is at the AC while they have a session", func(ctx SpecContext) {
		g := up(ctx, measuring)
		g.managed(ctx)
		ac, n := g.AC("ac1"), g.Node("node")

		By("facts")
		facts, err := ac.Facts(ctx, n)
		ok(err)
		Expect(facts.Hostname).To(Equal("node"))
		Expect(facts.Memory).To(BeNumerically(">", 64<<20))
		Expect(facts.CPU.Threads).To(BeNumerically(">", 0))
		Expect(facts.Versions).To(HaveKey("gocryptfs"))
		Expect(facts.NICs).To(ContainElement(And(HaveField("MAC", n.MAC(0)), HaveField("Addresses", ContainElement(HavePrefix("192.168.7."))))))

		By("top")
		top, err := ac.Top(ctx, n)
		ok(err)
		Expect(top.Processes).To(ContainElement(HaveField("Name", "g8os_core")))
		Expect(top.Metrics.MemUsed).To(BeNumerically(">", 0))

		By("figures, without being asked")
		var last lab.NodeMetrics
		Eventually(ctx, func() error {
			list, err := ac.NodeMetrics(ctx)
			if err != nil || len(list) != 1 {
				return fmt.Errorf("%+v, %v", list, err)
			}
			last = list[0]
			return nil
		}).WithTimeout(stepTimeout()).Should(Succeed())
		Expect(last.Node).To(Equal(n.ID()))
		Expect(last.Name).To(Equal("node"))
		Expect(last.Metrics.DiskTotal).To(BeNumerically(">", 0))
		page, err := ac.MetricsPage(ctx)
		ok(err)
		Expect(page).To(ContainSubstring(fmt.Sprintf(`g8os_ac_node_processes{node=%q} `, n.ID())))
	}, patience)

	It("rings when it is alarming, once, also after an outage of the AC", func(ctx SpecContext) {
		g := up(ctx, measuring)
		g.managed(ctx)
		ac := g.AC("ac1")

		By("a small file system is filled")
		g.inside(ctx, "node", "sh", "-c", filled)
		g.alarmed(ctx, "filled", "8 true node")

		By("it is emptied while the AC is away")
		ok(ac.Kill(ctx))
		g.inside(ctx, "node", "rm", "/mnt/filled/file")
		Eventually(ctx, func() string { return g.coreLog(ctx, g.Node("node")) }).WithTimeout(stepTimeout()).
			Should(MatchRegexp(`alarm=filled.*raised=false`))
		ok(ac.Start(ctx))
		g.managed(ctx)
		g.alarmed(ctx, "filled", "8 true node", "8 false node")

		By("a file that is wrong is said, and changes nothing")
		g.inside(ctx, "node", "sh", "-c", "echo 'what = 1' >>/mnt/etc/alarms.toml")
		Eventually(ctx, func() ([]lab.NodeEvent, error) { return ac.Events(ctx, g.Node("node")) }).WithTimeout(stepTimeout()).
			Should(ContainElement(And(HaveField("Source", "core"), HaveField("Text", ContainSubstring("alarms.toml:8: filled.what: no such key")))))
		g.alarmed(ctx, "filled", "8 true node", "8 false node")
	}, patience)
})
