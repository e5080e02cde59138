package scenarios

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// twins is a grid with two machines of one MAC address, each on a segment of
// its own, as a thief would stand on a network of his own.
const twins = `
segments:
  - {name: office, subnet: 192.168.7.0/24}
  - {name: branch, subnet: 192.168.9.0/24}
acs:
  - name: ac1
    legs: [{segment: office, address: 192.168.7.2}, {segment: branch, address: 192.168.9.2}]
nodes:
  - {name: node, nics: [{segment: office, method: static, mac: "02:00:00:00:00:01"}]}
  - {name: twin, nics: [{segment: branch, method: static, mac: "02:00:00:00:00:01"}]}
`

// identity is what a node's identity is made of on its disk: everything but
// net.toml, which says where a machine stands.
const identity = "device.key counter counter.prev keyslots keyslots.prev private private.conf"

// keysOf is a copy of a node's identity.
func (g *grid) keysOf(ctx context.Context, node string) string {
	GinkgoHelper()
	return g.inside(ctx, node, "sh", "-ec", `cd /etc/g8os; tar -cf - $(ls -d `+identity+` 2>/dev/null)`)
}

// putKeys makes a copy of an identity that of a node that runs. It takes effect
// with the next boot.
func (g *grid) putKeys(ctx context.Context, node, keys string) {
	GinkgoHelper()
	var said bytes.Buffer
	cmd, err := g.Node(node).Enter([]string{"sh", "-ec", "cd /etc/g8os; tar -xf -; sync"}, func(c *exec.Cmd) {
		c.Stdin, c.Stderr = strings.NewReader(keys), &said
	})
	ok(err)
	ok(cmd.Wait(), "%s", said.String())
}

var _ = Describe("an identity", netns, vm, func() {
	It("is not had by the MAC address alone: another machine with it is refused and audited, the node goes on", func(ctx SpecContext) {
		g := up(ctx, twins, held)
		ok(g.Node("node").StartCore(ctx))
		g.works(ctx, "node")
		ok(g.Node("twin").StartCore(ctx))
		g.reaches(ctx, "twin", "refused", waits("unlock", "refused"))
		g.audited(ctx, "node", "unlock", "refused", "another device key is pinned")
		g.works(ctx, "node")
		Expect(g.status(ctx, "twin").Phase).To(Equal("unlock"))

		By("also after a power cut")
		ok(g.Node("node").PowerCut(ctx))
		ok(g.Node("node").PowerOn(ctx))
		g.works(ctx, "node")
		Expect(g.inside(ctx, "twin", "ls", "/etc/g8os")).NotTo(ContainSubstring("keyslots"))
	}, patience)

	It("of an old copy of the disk is not accepted: the counter went back, somebody has to look", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		n := g.Node("node")
		old := g.keysOf(ctx, "node")
		ok(n.PowerCut(ctx))
		ok(n.PowerOn(ctx))
		g.works(ctx, "node")

		g.putKeys(ctx, "node", old)
		ok(n.PowerCut(ctx))
		ok(n.PowerOn(ctx))
		g.reaches(ctx, "node", "refused", waits("unlock", "refused"))
		g.record(ctx, "node", stands("pending", "rollback"))
		g.audited(ctx, "node", "unlock", "refused", "counter did not grow")

		By("somebody has looked")
		_, err := g.AC("ac1").Approve(ctx, n)
		ok(err)
		g.works(ctx, "node")
	}, patience)

	It("T30 on two machines alive at once is noticed: both are shut out and it is audited", func(ctx SpecContext) {
		g := up(ctx, twins, held)
		node, twin := g.Node("node"), g.Node("twin")
		ok(node.StartCore(ctx))
		g.works(ctx, "node")
		ok(twin.SetCarrier(ctx, 0, false)) // else it would ask with a key of its own
		ok(twin.StartCore(ctx))
		g.reaches(ctx, "twin", "without a cable", waits("network", ""))
		g.putKeys(ctx, "twin", g.keysOf(ctx, "node"))
		ok(twin.PowerCut(ctx))
		ok(twin.PowerOn(ctx))
		shut := stands("pending", "clone")
		g.record(ctx, "node", shut)
		notManaged := func(s lab.Status) bool { return s.Phase != "managed" }
		g.reaches(ctx, "node", "shut out", notManaged)
		g.reaches(ctx, "twin", "shut out", notManaged)
		_, err := g.AC("ac1").Exec(ctx, node, "true")
		Expect(err).To(HaveOccurred())
		all, err := g.AC("ac1").Audit(ctx, node)
		ok(err)
		Expect(all).To(ContainElement(Satisfy(func(e lab.AuditEntry) bool {
			return strings.Contains(e.Reason+e.Detail, "clone")
		})), "%+v", all)
		Consistently(ctx, func() []string {
			return []string{g.status(ctx, "node").Phase, g.status(ctx, "twin").Phase}
		}).WithTimeout(aWhile / 2).ShouldNot(ContainElement("managed"))
	}, patience)

	It("T31 that posts in the name of another node is refused and audited, and the other node goes on", func(ctx SpecContext) {
		g := up(ctx, pair)
		g.managed(ctx)
		ac, one, two := g.AC("ac1"), g.Node("node-1"), g.Node("node-2")
		bad, err := ac.Peer(ctx, one)
		ok(err)
		DeferCleanup(bad.Close)

		By("its own name is good")
		ok(bad.Confirm(ctx, one))

		By("a key generation, or a certificate, of another's")
		before := g.certificate(ctx, "node-2")
		Expect(bad.Confirm(ctx, two)).To(MatchError(ContainSubstring("refused")))
		Expect(bad.Certify(ctx, two)).To(MatchError(ContainSubstring("refused")))
		g.audited(ctx, "node-1", "proof", "refused", "speaks for node "+string(two.ID()))

		By("the end of a job of another's")
		ended := make(chan lab.Result, 1)
		go func() {
			defer GinkgoRecover()
			code, err := ac.ExecJob(ctx, two, "the-job", io.Discard, "sh", "-c", "while [ ! -e /run/go-on ]; do sleep 0.1; done; exit 7")
			ok(err)
			ended <- lab.Result{Code: code}
		}()
		g.logged(ctx, two, "the-job")
		ok(bad.EndJob(ctx, "the-job"))
		Consistently(ctx, ended).WithTimeout(aWhile / 5).ShouldNot(Receive())
		g.inside(ctx, "node-2", "touch", "/run/go-on")
		Eventually(ctx, ended).WithTimeout(stepTimeout()).Should(Receive(Equal(lab.Result{Code: 7})))
		Expect(g.certificate(ctx, "node-2")).To(Equal(before))
		g.works(ctx, "node-1")
	}, patience)
})

// logged waits until a node's log has a text.
func (g *grid) logged(ctx context.Context, n *lab.Node, text string) {
	GinkgoHelper()
	Eventually(ctx, func() string { return g.coreLog(ctx, n) }).WithTimeout(stepTimeout()).Should(ContainSubstring(text))
}
