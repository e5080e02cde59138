package scenarios

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// returns is within what a node is managed again once its AC is back.
const returns = 20 * time.Second

// backSoon demands that a node is managed and does as it is told, soon.
func (g *grid) backSoon(ctx context.Context, node string) {
	GinkgoHelper()
	soon, cancel := context.WithTimeout(ctx, returns)
	defer cancel()
	g.works(soon, node)
}

// isAway demands that an AC that is gone is missed and nothing else is lost,
// for a while.
func (g *grid) isAway(ctx context.Context, node string, climbed bool, while time.Duration) {
	GinkgoHelper()
	Consistently(ctx, func() error {
		if climbed {
			g.holdsOn(ctx, node)
		}
		c, err := g.Node(node).Core(ctx)
		if err == nil && !c.Running {
			err = fmt.Errorf("g8os_core has ended with code %d", c.Code)
		}
		return err
	}).WithTimeout(while).WithPolling(while / 10).Should(Succeed())
}

// numbered is a job that says so many numbered lines, ten a second.
func numbered(lines int) []string {
	return []string{"sh", "-c", fmt.Sprintf("echo run >>/run/runs; i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; sleep 0.1; done", lines)}
}

// upTo is what numbered says.
func upTo(lines int) string {
	var b strings.Builder
	for i := range lines {
		fmt.Fprintln(&b, i+1)
	}
	return b.String()
}

// begin runs a job of an id beside the spec; its end comes over the channel.
func (g *grid) begin(ctx context.Context, node, job string, argv ...string) (*bytes.Buffer, <-chan error) {
	out, done := &bytes.Buffer{}, make(chan error, 1)
	go func() {
		code, err := g.AC("ac1").ExecJob(ctx, g.Node(node), job, out, argv...)
		if err == nil && code != 0 {
			err = fmt.Errorf("code %d", code)
		}
		done <- err
	}()
	return out, done
}

var _ = Describe("an AC that goes away", netns, vm, func() {
	inEachPhase("for a minute and comes back finds the node climbing again", func(ctx SpecContext, phase string) {
		g := up(ctx, officeOnly, held)
		g.climb(ctx, "node", phase)
		ok(g.AC("ac1").Kill(ctx))
		g.isAway(ctx, "node", phase == "managed", time.Minute)
		ok(g.AC("ac1").Start(ctx))
		g.backSoon(ctx, "node")
		g.holdsOn(ctx, "node")
	}, "network", "managed")

	inEachPhase("without a word, its connections open, and is back finds the node climbing again", func(ctx SpecContext, phase string) {
		g := up(ctx, officeOnly, held)
		letGo := g.climb(ctx, "node", phase)
		ok(g.AC("ac1").Pause(ctx))
		g.isAway(ctx, "node", phase == "managed", aWhile/2)
		ok(g.AC("ac1").Resume(ctx))
		letGo()
		g.backSoon(ctx, "node")
		g.holdsOn(ctx, "node")
	}, "network", "managed")

	It("for a minute loses no line of a running job and no ssh login", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		const lines = 300
		out, done := g.begin(ctx, "node", "count", numbered(lines)...)
		var login bytes.Buffer
		ssh, err := g.Node("node").SSH(ctx, numbered(lines+400), func(c *exec.Cmd) { c.Stdout = &login })
		ok(err)
		DeferCleanup(func() { _, _ = ssh.Process.Kill(), ssh.Wait() }) // the node's namespace waits for it
		g.logged(ctx, g.Node("node"), "job=count")

		ok(g.AC("ac1").Pause(ctx))
		g.isAway(ctx, "node", true, time.Minute)
		Expect(g.status(ctx, "node").Phase).NotTo(Equal("managed"))
		ok(g.AC("ac1").Resume(ctx))
		g.backSoon(ctx, "node")
		var ended error
		Eventually(ctx, done).WithTimeout(stepTimeout()).Should(Receive(&ended))
		ok(ended)
		Expect(out.String()).To(Equal(upTo(lines)))
		ok(ssh.Wait())
		Expect(login.String()).To(Equal(upTo(lines + 400)))
	}, patience)

	It("by kill -9 does not make a job run twice, and the job goes on without it", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		job := []string{"sh", "-c", "echo run >>/run/runs; while [ ! -e /run/go-on ]; do sleep 0.1; done; echo ended"}
		_, done := g.begin(ctx, "node", "count", job...)
		g.logged(ctx, g.Node("node"), "job=count")
		ok(g.AC("ac1").Kill(ctx))
		Eventually(ctx, done).WithTimeout(stepTimeout()).Should(Receive(HaveOccurred()))
		ok(g.AC("ac1").Start(ctx))
		g.backSoon(ctx, "node")

		By("asked for again, it is the same job; another command cannot have its id")
		_, done = g.begin(ctx, "node", "count", "echo", "not this one")
		Eventually(ctx, done).WithTimeout(stepTimeout()).Should(Receive(MatchError(ContainSubstring("taken by another request"))))
		out, done := g.begin(ctx, "node", "count", job...)
		g.logged(ctx, g.Node("node"), `"job handed out again" job=count it_is=running`)
		g.inside(ctx, "node", "touch", "/run/go-on")
		var ended error
		Eventually(ctx, done).WithTimeout(stepTimeout()).Should(Receive(&ended))
		ok(ended)
		Expect(out.String()).To(Equal("ended\n"))
		Expect(g.inside(ctx, "node", "cat", "/run/runs")).To(Equal("run\n"))
	}, patience)

	It("again and again by kill -9, while nodes enrol, has forgotten nothing that it said", func(ctx SpecContext) {
		g := up(ctx, strings.Replace(officeOnly, "{name: node,", "{name: node, count: 6,", 1), held)
		ac := g.AC("ac1")
		for _, n := range g.Nodes() {
			ok(n.StartCore(ctx))
		}
		seen := map[uint64]lab.AuditEntry{}
		for range 5 { // at each news, or when there are to be no more
			had := len(seen)
			Eventually(ctx, func() (bool, error) {
				all, err := ac.Audit(ctx, nil)
				for _, e := range all {
					seen[e.Seq] = e
				}
				nodes, nodesErr := ac.Nodes(ctx)
				managed := 0
				for _, r := range nodes {
					if r.Phase == "managed" {
						managed++
					}
				}
				return len(seen) > had || managed == 6, errors.Join(err, nodesErr)
			}).WithTimeout(stepTimeout()).WithPolling(20 * time.Millisecond).Should(BeTrue())
			told, err := ac.Nodes(ctx)
			ok(err)
			ok(ac.Kill(ctx))
			ok(ac.Start(ctx))
			g.remembers(ctx, told, seen)
		}
		g.managed(ctx)
		told, err := ac.Nodes(ctx)
		ok(err)
		Expect(told).To(HaveLen(6))
		for _, r := range told {
			Expect(r).To(stands("enrolled", ""))
		}
		g.remembers(ctx, told, seen)
	}, patience)
})

// remembers demands that what an AC said of nodes and decisions still holds,
// and that no decision is missing between the first and the last.
func (g *grid) remembers(ctx context.Context, told []lab.NodeRecord, seen map[uint64]lab.AuditEntry) {
	GinkgoHelper()
	for _, was := range told {
		is, err := g.AC("ac1").Node(ctx, g.Node(was.Name))
		ok(err)
		Expect([]any{is.ID, is.State, is.Fingerprint}).To(Equal([]any{was.ID, was.State, was.Fingerprint}))
	}
	all, err := g.AC("ac1").Audit(ctx, nil)
	ok(err)
	now := map[uint64]lab.AuditEntry{}
	for i, e := range all {
		now[e.Seq] = e
		Expect(e.Seq).To(Equal(all[0].Seq+uint64(i)), "a decision is missing")
	}
	for seq, e := range seen {
		if e.Prev == "" { // it was so young that it was not tied to the chain yet
			e.Prev = now[seq].Prev
		}
		Expect(now[seq]).To(Equal(e))
	}
}
