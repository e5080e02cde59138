package scenarios

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/g8os/g8os/lab"
)

// approving is a grid of an AC that lets nobody in by itself.
const approving = `
segments:
  - {name: office, subnet: 192.168.7.0/24}
acs:
  - {name: ac1, policy: approve, legs: [{segment: office, address: 192.168.7.2}]}
nodes:
  - {name: node, nics: [{segment: office, method: static}]}
`

// record waits until the AC's record of a node is such.
func (g *grid) record(ctx context.Context, node string, such types.GomegaMatcher) lab.NodeRecord {
	GinkgoHelper()
	var r lab.NodeRecord
	Eventually(ctx, func() (err error) {
		r, err = g.AC("ac1").Node(ctx, g.Node(node))
		if err != nil {
			return err
		}
		if holds, err := such.Match(r); err != nil || !holds {
			return fmt.Errorf("record of %s: %+v (%v)", node, r, err)
		}
		return nil
	}).WithTimeout(stepTimeout()).Should(Succeed())
	return r
}

// stands matches the record of a node in a state, for a reason that contains a text.
func stands(state, reason string) types.GomegaMatcher {
	return And(HaveField("State", BeEquivalentTo(state)), HaveField("Reason", ContainSubstring(reason)))
}

// audited waits for a decision about a node. Refusals are written in the background.
func (g *grid) audited(ctx context.Context, node, action, decision, why string) lab.AuditEntry {
	GinkgoHelper()
	var found lab.AuditEntry
	Eventually(ctx, func() error {
		all, err := g.AC("ac1").Audit(ctx, g.Node(node))
		for _, e := range all {
			if e.Action == action && e.Decision == decision && strings.Contains(e.Reason+" "+e.Detail, why) {
				found = e
				return nil
			}
		}
		return fmt.Errorf("no %s %s because of %q in the audit: %+v (%v)", action, decision, why, all, err)
	}).WithTimeout(stepTimeout()).Should(Succeed())
	return found
}

// waits is the condition of waiting in a phase, and saying for what.
func waits(phase, forWhat string) func(lab.Status) bool {
	return func(s lab.Status) bool { return s.Phase == phase && strings.Contains(s.WaitsFor, forWhat) }
}

var _ = Describe("a node that nobody has approved", netns, vm, func() {
	It("waits, visibly, goes on when it is, and is out for good when retired", func(ctx SpecContext) {
		g := up(ctx, approving)
		ac, n := g.AC("ac1"), g.Node("node")

		By("it says what it waits for, and by which fingerprint it is known")
		s := g.reaches(ctx, "node", "refused", waits("unlock", "refused"))
		Expect(s.WaitsFor).To(ContainSubstring("the AC to release the key"))
		Expect(s.Fingerprint).To(MatchRegexp(`^([0-9a-f]{4}-){3}[0-9a-f]{4}$`))
		r := g.record(ctx, "node", And(stands("pending", "approval"), HaveField("Phase", "unlock"), HaveField("LastSeen", Not(BeNil()))))
		Expect(r.Fingerprint).To(Equal(s.Fingerprint))
		g.audited(ctx, "node", "unlock", "refused", "approval")
		Expect(g.inside(ctx, "node", "sh", "-c", "ls /etc/g8os")).NotTo(ContainSubstring("private"))

		By("a job for it is refused")
		_, err := ac.Exec(ctx, n, "true")
		Expect(err).To(MatchError(ContainSubstring("it is pending, and only enrolled nodes work")))

		By("approved, it goes on by itself")
		_, err = ac.Approve(ctx, n)
		ok(err)
		g.managed(ctx)
		g.audited(ctx, "node", "approve", "granted", "")
		g.record(ctx, "node", stands("enrolled", ""))

		By("retired, its session ends and it is refused")
		_, err = ac.Retire(ctx, n)
		ok(err)
		g.reaches(ctx, "node", "refused", waits("unlock", "refused"))
		_, err = ac.Exec(ctx, n, "true")
		Expect(err).To(MatchError(ContainSubstring("it is retired, and only enrolled nodes work")))

		By("also after a power cut")
		ok(n.PowerCut(ctx))
		ok(n.PowerOn(ctx))
		g.reaches(ctx, "node", "refused", waits("unlock", "refused"))
		g.record(ctx, "node", stands("retired", ""))
		g.audited(ctx, "node", "unlock", "refused", "retired")
	}, patience)
})
