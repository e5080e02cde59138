package scenarios

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// failoverWithin bounds how long the sessions of an AC that was killed are
// nowhere: the node's back-off where net.toml or a lease names the others, the
// dead one's lease and an election of the store where it is 10.254.254.254. The
// figure for machines that do nothing else is in ci/bench.
const failoverWithin = 20 * time.Second

// threeACsFile is the topology with three ACs that comes with the lab.
func threeACsFile() string {
	GinkgoHelper()
	text, err := os.ReadFile("../lab/topologies/three-acs.yaml")
	ok(err)
	return string(text)
}

// acs are the ACs as one of them sees them, by name.
func (g *grid) acs(ctx context.Context, by string) map[string]lab.ACRecord {
	GinkgoHelper()
	list, err := g.AC(by).ListACs(ctx)
	ok(err)
	all := map[string]lab.ACRecord{}
	for _, ac := range list {
		all[ac.Name] = ac
	}
	return all
}

// holder is the AC that has 10.254.254.254 on a segment.
func (g *grid) holder(ctx context.Context, by, segment string) string {
	GinkgoHelper()
	for name, ac := range g.acs(ctx, by) {
		if slices.Contains(ac.Holds, segment) {
			return name
		}
	}
	return ""
}

// has tells whether an AC's kernel has 10.254.254.254 on the isolated segment.
func (g *grid) has(ac string) bool {
	GinkgoHelper()
	leg, there := g.AC(ac).Leg("isolated")
	Expect(there).To(BeTrue())
	var out bytes.Buffer
	cmd, err := g.AC(ac).EnterNet([]string{"ip", "-4", "-br", "address", "show", "dev", leg}, func(c *exec.Cmd) { c.Stdout = &out })
	ok(err)
	ok(cmd.Wait())
	return strings.Contains(out.String(), "10.254.254.254")
}

// onlyAt waits until exactly one of some ACs has the address, and says which.
func (g *grid) onlyAt(ctx context.Context, acs ...string) (one string) {
	GinkgoHelper()
	Eventually(ctx, func() []string {
		var all []string
		for _, ac := range acs {
			if g.has(ac) {
				one, all = ac, append(all, ac)
			}
		}
		return all
	}).WithTimeout(failoverWithin).WithPolling(100 * time.Millisecond).Should(HaveLen(1))
	return one
}

// others are the ACs but one.
func others(but string) (all []string) {
	for _, ac := range []string{"ac1", "ac2", "ac3"} {
		if ac != but {
			all = append(all, ac)
		}
	}
	return all
}

// allAt waits until every node has its session with one of some ACs, and all
// of those know; it returns how long that took.
func (g *grid) allAt(ctx context.Context, acs ...string) time.Duration {
	GinkgoHelper()
	began := time.Now()
	Eventually(ctx, func() (int, error) {
		sessions := 0
		list, err := g.AC(acs[0]).ListACs(ctx)
		for _, ac := range list {
			if slices.Contains(acs, ac.Name) {
				sessions += ac.Sessions
			}
		}
		return sessions, err
	}).WithTimeout(failoverWithin).WithPolling(100 * time.Millisecond).Should(Equal(len(g.Nodes())))
	took := time.Since(began)
	for _, ac := range acs {
		Eventually(ctx, func() ([]string, error) {
			records, err := g.AC(ac).Nodes(ctx)
			var phases []string
			for _, r := range records {
				phases = append(phases, r.Phase)
			}
			return phases, err
		}).WithTimeout(failoverWithin).Should(HaveEach("managed"), "as %s sees it", ac)
	}
	return took
}

// allExec runs a command on every node through every one of some ACs.
func (g *grid) allExec(ctx context.Context, acs ...string) {
	GinkgoHelper()
	for _, ac := range acs {
		for _, n := range g.Nodes() {
			r, err := g.AC(ac).Exec(ctx, n, "hostname")
			ok(err)
			Expect(r.Stdout).To(Equal(n.Name()+"\n"), "through %s", ac)
		}
	}
}

var _ = Describe("three ACs", Label("acs"), netns, notVM, func() {
	It("are one: any of them reaches any node, and one at a time is 10.254.254.254", func(ctx SpecContext) {
		g := up(ctx, threeACsFile())
		g.managed(ctx)
		g.allExec(ctx, "ac1", "ac2", "ac3")
		Expect(g.onlyAt(ctx, "ac1", "ac2", "ac3")).To(Equal(g.holder(ctx, "ac1", "isolated")))
		g.refused(ctx, "", "no such AC", "ac", "drain", "ac9")
		g.refused(ctx, "", "there is an AC of that name", "ac", "add", "ac2", "https://192.168.7.9:2380")
	}, patience)

	It("lose one that is killed: its nodes are with the others in time, and no write and no job is lost", func(ctx SpecContext) {
		g := up(ctx, threeACsFile())
		g.managed(ctx)
		lost := g.onlyAt(ctx, "ac1", "ac2", "ac3")
		left := others(lost)
		const script = `echo once >>/tmp/runs; sleep 15; cat /tmp/runs`
		running := make(chan error, 1)
		go func() {
			_, err := g.AC(lost).ExecJob(ctx, g.Node("isolated-1"), "long", &bytes.Buffer{}, "sh", "-c", script)
			running <- err
		}()
		g.logged(ctx, g.Node("isolated-1"), "job=long")
		context := filepath.Join(GinkgoT().TempDir(), "context.toml")
		ok(g.AC(lost).WriteContext(context, g.AC(left[0]), g.AC(left[1])))
		followed := make(chan said, 1)
		go func() {
			defer GinkgoRecover()
			followed <- g.operate(ctx, context, append([]string{"exec", "isolated-1", "--"}, numbered(150)...)...)
		}()
		Eventually(ctx, func() (string, error) {
			r, err := g.Node("isolated-1").Exec(ctx, "cat", "/run/runs")
			return r.Stdout, err
		}).
			WithTimeout(stepTimeout()).Should(ContainSubstring("run"))
		g.done(ctx, "", "token", "create", "--for", "10m")
		tokens := g.done(ctx, "", "token", "list", "-o", "json")

		ok(g.AC(lost).Kill(ctx))
		AddReportEntry("fail-over", g.allAt(ctx, left...).String())
		g.onlyAt(ctx, "ac1", "ac2", "ac3")
		Expect(g.done(ctx, "", "token", "list", "-o", "json")).To(Equal(tokens))
		Expect(<-running).To(HaveOccurred(), "its operator is told that the AC is gone")
		whole := <-followed
		Expect(whole).To(And(HaveField("Code", 0), HaveField("Stdout", upTo(150))), "g8os exec goes on with another AC: %s", whole.Stderr)
		Expect(g.inside(ctx, "isolated-1", "cat", "/run/runs")).To(Equal("run\n"))
		var out bytes.Buffer
		code, err := g.AC(left[1]).ExecJob(ctx, g.Node("isolated-1"), "long", &out, "sh", "-c", script)
		ok(err)
		Expect(code).To(BeZero())
		Expect(out.String()).To(Equal("once\n"), "the job went on and did not run twice")

		ok(g.AC(lost).Start(ctx))
		ok(g.AC(lost).WaitState(ctx, g.AC(left[0]), lab.ACServing))
		g.allExec(ctx, lost)
		g.onlyAt(ctx, "ac1", "ac2", "ac3")
	}, patience)

	It("without a majority refuse what changes something, say why, and go on with what runs", func(ctx SpecContext) {
		g := up(ctx, threeACsFile())
		g.managed(ctx)
		last := g.holder(ctx, "ac1", "isolated") // nobody could take that over
		lost := others(last)
		for _, ac := range lost {
			ok(g.AC(ac).Kill(ctx))
		}
		g.allAt(ctx, last)
		g.refused(ctx, "", "the store is unavailable", "token", "create", "--for", "10m")
		Expect(g.done(ctx, "", "nodes")).To(ContainSubstring("dhcp-1"))
		Eventually(ctx, func() lab.ACState { return g.acs(ctx, last)[lost[0]].State }).WithTimeout(failoverWithin).Should(Equal(lab.ACUnknown))
		g.allAt(ctx, last)
		ok(g.AC(lost[0]).Start(ctx))
		g.done(ctx, "", "node", "quarantine", "dhcp-1")
		g.done(ctx, "", "node", "release", "dhcp-1")
		ok(g.AC(lost[1]).Start(ctx))
		ok(g.AC(lost[1]).WaitState(ctx, g.AC(last), lab.ACServing))
	}, patience)

	It("of which one is cut off from the others serve on both sides, and are one again", func(ctx SpecContext) {
		g := up(ctx, threeACsFile())
		g.managed(ctx)
		cut := g.holder(ctx, "ac1", "isolated")
		left := others(cut)
		ok(g.Segment("office").Isolate(ctx, cut))
		Eventually(ctx, func() string { return g.holder(ctx, left[0], "isolated") }).WithTimeout(failoverWithin).Should(BeElementOf(left))
		Eventually(ctx, func() string { return g.onlyAt(ctx, "ac1", "ac2", "ac3") }).WithTimeout(failoverWithin).Should(BeElementOf(left),
			"the one that is cut off hears the announcement and yields")
		Eventually(ctx, func() lab.ACState { return g.acs(ctx, left[0])[cut].State }).WithTimeout(failoverWithin).Should(Equal(lab.ACDown))
		g.managed(ctx)
		ok(g.Segment("office").Heal(ctx))
		ok(g.AC(cut).WaitState(ctx, g.AC(left[0]), lab.ACServing))
		g.managed(ctx)
		g.allAt(ctx, "ac1", "ac2", "ac3") // each once
		g.allExec(ctx, "ac1", "ac2", "ac3")
		g.onlyAt(ctx, "ac1", "ac2", "ac3")
	}, patience)

	It("of which one has lost its disk are three again, and any two do", func(ctx SpecContext) {
		g := up(ctx, threeACsFile())
		g.managed(ctx)
		ok(g.AC("ac3").Kill(ctx))
		ok(g.AC("ac3").WaitState(ctx, g.AC("ac1"), lab.ACDown))
		ok(g.AC("ac3").Replace(ctx, g.AC("ac1")))
		ok(g.AC("ac1").Kill(ctx))
		g.allAt(ctx, "ac2", "ac3")
		g.allExec(ctx, "ac2", "ac3")
	}, patience)

	It("of which one is drained send its nodes away before it is stopped", func(ctx SpecContext) {
		g := up(ctx, threeACsFile())
		g.managed(ctx)
		Expect(g.done(ctx, "", "ac", "drain", "ac1")).To(ContainSubstring("ac1 is drained"))
		g.allAt(ctx, "ac2", "ac3")
		Expect(g.onlyAt(ctx, "ac1", "ac2", "ac3")).NotTo(Equal("ac1"))
		ok(g.AC("ac1").Stop(ctx))
		g.managed(ctx)
		ok(g.AC("ac1").Start(ctx))
		Expect(g.acs(ctx, "ac2")["ac1"].Sessions).To(BeZero(), "it is drained still")
		g.done(ctx, "", "ac", "drain", "--undo", "ac1")
		ok(g.AC("ac1").WaitState(ctx, g.AC("ac2"), lab.ACServing))
	}, patience)

	It("that have lost all their disks go on from a backup, and their nodes need nothing", func(ctx SpecContext) {
		g := up(ctx, threeACsFile())
		g.managed(ctx)
		file := filepath.Join(g.Dir(), "backup")
		g.done(ctx, "", "backup", file)
		g.restored(ctx, file)
		g.managed(ctx)
		g.allAt(ctx, "ac1", "ac2", "ac3")
		g.allExec(ctx, "ac3")
		Expect(g.done(ctx, "", "audit")).To(ContainSubstring("backup"))
	}, patience)
})

// restored erases the data of all ACs and makes a new cluster of a backup. Kept
// by hand are the keys of the first one.
func (g *grid) restored(ctx context.Context, file string) {
	GinkgoHelper()
	for _, ac := range g.ACs() {
		ok(ac.Kill(ctx))
	}
	first := g.AC("ac1")
	conf := first.ConfigPath()
	Expect(g.operate(ctx, "", "restore", "--config", conf, file).Stderr).To(ContainSubstring("the store is not empty"))
	ok(os.RemoveAll(first.DataDir()))
	Expect(g.done(ctx, "", "restore", "--config", conf, file)).To(ContainSubstring("is restored"))
	ok(first.Start(ctx))
	for _, ac := range []*lab.AC{g.AC("ac2"), g.AC("ac3")} {
		ok(ac.Erase())
		ok(ac.Join(ctx, first))
	}
	By(fmt.Sprint(g.acs(ctx, "ac1")))
}
