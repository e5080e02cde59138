package scenarios

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// prove is the time that a new g8os_core has in scenarios to be managed: little,
// as some never will be. What is emulated takes its time.
func prove() time.Duration {
	if onMachines() {
		return 90 * time.Second
	}
	return 20 * time.Second
}

// guarded is how long an upgrade may take of which nobody but the guard sees that
// it hangs: it waits half a minute longer than the new one may take, and then for
// somebody else to start g8os_core.
func guarded() time.Duration { return prove() + 90*time.Second }

// upgraded begins an upgrade of nodes to a file, and returns how it ends.
func (g *grid) upgraded(ctx context.Context, file []byte, version string, key ed25519.PrivateKey, nodes ...string) lab.Upgrade {
	GinkgoHelper()
	g.begins(ctx, file, version, key, nodes...)
	return g.upgradeEnds(ctx)
}

func (g *grid) begins(ctx context.Context, file []byte, version string, key ed25519.PrivateKey, nodes ...string) {
	GinkgoHelper()
	r, err := g.SignCore(file, version, key)
	ok(err)
	ok(g.AC("ac1").BringCore(ctx, r, file))
	_, err = g.AC("ac1").Upgrade(ctx, lab.UpgradeRequest{
		Sum: r.Sum, To: lab.Address{Nodes: nodes, All: len(nodes) == 0}, Canary: 1, StepPercent: 50, HaltAfter: 1, ProveMS: prove().Milliseconds(),
	})
	ok(err)
}

// upgradeEnds waits until nobody is under way any more and nobody will be.
func (g *grid) upgradeEnds(ctx context.Context) lab.Upgrade {
	GinkgoHelper()
	var u lab.Upgrade
	Eventually(ctx, func() error {
		var err error
		if u, err = g.AC("ac1").Upgrading(ctx); err != nil {
			return err
		}
		if u.State == "done" || u.State == "halted" && u.Counts["under way"] == 0 {
			return nil
		}
		return fmt.Errorf("it is %s in step %d: %v, %+v", u.State, u.Step, u.Counts, u.Nodes)
	}).WithTimeout(guarded()).Should(Succeed())
	return u
}

// runs waits until a node is managed as a version, and the AC shows that.
func (g *grid) runs(ctx context.Context, node, version string) {
	GinkgoHelper()
	g.reaches(ctx, node, "managed as "+version, func(s lab.Status) bool { return s.Phase == "managed" && s.Version == version })
	Eventually(ctx, func() string {
		n, err := g.AC("ac1").Node(ctx, g.Node(node))
		ok(err)
		return n.Version
	}).WithTimeout(stepTimeout()).Should(Equal(version))
}

// script is a g8os_core that is none.
func script(text string) []byte { return []byte("#!/bin/sh\n" + text + "\n") }

// sooner is of specs of which machines would show nothing more.
var sooner = Label("not vm: " + sameText)

var _ = Describe("an upgrade of g8os_core", netns, func() {
	It("has a node run the new one in the same process, sshd and volume as they were, and once more", vm, func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		before := g.status(ctx, "node")
		sshd := g.inside(ctx, "node", "cat", "/run/g8os/sshd.pid")
		for _, mark := range []string{"second", "third"} {
			file, version, err := g.OtherCore(ctx, mark)
			ok(err)
			u := g.upgraded(ctx, file, version, nil, "node")
			Expect(u.State).To(Equal("done"), "%+v", u)
			Expect(u.Nodes[0].State).To(BeEquivalentTo("proved"), "%+v", u)
			g.runs(ctx, "node", version)
		}
		Expect(g.status(ctx, "node").PID).To(Equal(before.PID), "its supervisor sees one process")
		Expect(g.inside(ctx, "node", "cat", "/run/g8os/sshd.pid")).To(Equal(sshd), "sshd was adopted")
		By("after a power cut it is the one that proved itself")
		now := g.status(ctx, "node").Version
		ok(g.Node("node").PowerCut(ctx))
		ok(g.Node("node").PowerOn(ctx))
		g.runs(ctx, "node", now)
	}, patience)

	It("is refused when a stranger has signed it, and when it is for other machines", sooner, func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		version := g.status(ctx, "node").Version
		file, other, err := g.OtherCore(ctx, "second")
		ok(err)
		u := g.upgraded(ctx, file, other, ed25519.NewKeyFromSeed([]byte(strings.Repeat("s", ed25519.SeedSize))), "node")
		Expect(u.Nodes[0]).To(And(HaveField("State", BeEquivalentTo("refused")), HaveField("Why", ContainSubstring("no accepted key has signed"))))
		Expect(u.State).To(Equal("halted"))
		g.runs(ctx, "node", version)
	}, patience)

	DescribeTable("is taken back when the new one", sooner, func(ctx SpecContext, file []byte, why string) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		version := g.status(ctx, "node").Version
		u := g.upgraded(ctx, file, "v9-broken", nil, "node")
		Expect(u.Nodes[0]).To(And(HaveField("State", BeEquivalentTo("rolled back")), HaveField("Why", ContainSubstring(why))))
		g.runs(ctx, "node", version)
	},
		Entry("crashes at once", script("exit 1"), "it ended before it had proved itself", patience),
		Entry("is no program", []byte("rubbish"), "cannot be started", patience),
		Entry("hangs", script("exec sleep 600"), "it hung", patience),
	)

	It("is taken back when the node does not become managed with it, and can be repeated", sooner, func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		version := g.status(ctx, "node").Version
		file, other, err := g.OtherCore(ctx, "second")
		ok(err)
		g.begins(ctx, file, other, nil, "node")
		g.logged(ctx, g.Node("node"), "on trial")
		ok(g.AC("ac1").Pause(ctx))
		g.logged(ctx, g.Node("node"), "upgrade: taken back")
		ok(g.AC("ac1").Resume(ctx))
		u := g.upgradeEnds(ctx)
		Expect(u.Nodes[0]).To(And(HaveField("State", BeEquivalentTo("rolled back")), HaveField("Why", ContainSubstring("was not managed within"))))
		g.runs(ctx, "node", version)
		g.typed(ctx, "upgrade", "halt") // for good: it could go on with other nodes
		u = g.upgraded(ctx, file, other, nil, "node")
		Expect(u.State).To(Equal("done"), "%+v", u)
		g.runs(ctx, "node", other)
	}, patience)

	It("is taken back when power is lost before it is proved", vm, func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		version := g.status(ctx, "node").Version
		file, other, err := g.OtherCore(ctx, "second")
		ok(err)
		g.begins(ctx, file, other, nil, "node")
		g.logged(ctx, g.Node("node"), "on trial")
		ok(g.Node("node").PowerCut(ctx))
		ok(g.Node("node").PowerOn(ctx))
		u := g.upgradeEnds(ctx)
		Expect(u.Nodes[0]).To(And(HaveField("State", BeEquivalentTo("rolled back")), HaveField("Why", ContainSubstring("started again"))))
		g.runs(ctx, "node", version)
	}, patience)
})

var _ = Describe("g8os_core restart", netns, vm, func() {
	It("is the same process after it, managed again, and sshd goes on", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		before := g.status(ctx, "node")
		sshd := g.inside(ctx, "node", "cat", "/run/g8os/sshd.pid")
		for range 2 {
			Expect(g.inside(ctx, "node", "g8os_core", "restart")).To(ContainSubstring("is back"))
			g.managed(ctx)
		}
		Expect(g.status(ctx, "node").PID).To(Equal(before.PID))
		Expect(g.inside(ctx, "node", "cat", "/run/g8os/sshd.pid")).To(Equal(sshd))
		ok(g.Node("node").KillCore(ctx, syscall.SIGTERM))
		By("who became it in place reaps what it started before")
		Expect(g.inside(ctx, "node", "sh", "-c", "cat /proc/[0-9]*/stat | grep -c ') Z ' || true")).To(HavePrefix("0"))
		if !onMachines() { // there PID 1 does it
			ok(g.Node("node").StartCore(ctx))
		}
		g.managed(ctx)
	}, patience)
})
