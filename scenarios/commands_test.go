package scenarios

import (
	"context"
	"encoding/json"
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

// threeInOffice are three nodes with one AC.
const threeInOffice = `
segments:
  - {name: office, subnet: 192.168.7.0/24}
acs:
  - {name: ac1, legs: [{segment: office, address: 192.168.7.2}]}
nodes:
  - {name: one, nics: [{segment: office, method: static}]}
  - {name: two, nics: [{segment: office, method: static}]}
  - {name: three, nics: [{segment: office, method: static}]}
`

// command is g8os on the host, as the grid's first operator types it.
func (g *grid) command(ctx context.Context, args ...string) *exec.Cmd {
	GinkgoHelper()
	return g.commandAs(ctx, g.Name(), args...)
}

// commandAs is g8os with a context: its name, or its file.
func (g *grid) commandAs(ctx context.Context, as string, args ...string) *exec.Cmd {
	GinkgoHelper()
	bin, err := lab.FindBinDir("")
	ok(err)
	return exec.CommandContext(ctx, filepath.Join(bin, "g8os"), append([]string{"--context", as}, args...)...)
}

// g8os runs it to its end.
func (g *grid) g8os(ctx context.Context, args ...string) (out, errs string, code int) {
	GinkgoHelper()
	cmd := g.command(ctx, args...)
	var o, x strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &x
	err := cmd.Run()
	if cmd.ProcessState == nil {
		ok(err)
	}
	return o.String(), x.String(), lab.ExitCode(cmd.ProcessState)
}

// typed is g8os that has to succeed.
func (g *grid) typed(ctx context.Context, args ...string) string {
	GinkgoHelper()
	out, errs, code := g.g8os(ctx, args...)
	Expect(code).To(BeZero(), "g8os %s: %s%s", strings.Join(args, " "), out, errs)
	return out
}

// shownJob is what g8os says of a job.
type shownJob struct {
	ID    string
	Ended *time.Time
	Runs  []struct {
		Name, State, Error string
		Code               int
	}
}

func (g *grid) job(ctx context.Context, id string) (j shownJob) {
	GinkgoHelper()
	ok(json.Unmarshal([]byte(g.typed(ctx, "job", "show", id, "-o", "json")), &j))
	return j
}

// states are those of a job by node, such as "one success".
func (j shownJob) states() (all []string) {
	for _, r := range j.Runs {
		all = append(all, r.Name+" "+r.State)
	}
	slices.Sort(all)
	return all
}

// ends waits until a job is over.
func (g *grid) ends(ctx context.Context, id string) (j shownJob) {
	GinkgoHelper()
	Eventually(ctx, func() *time.Time { j = g.job(ctx, id); return j.Ended }).WithTimeout(stepTimeout()).ShouldNot(BeNil())
	return j
}

var _ = Describe("commands for many nodes", netns, notVM, func() {
	It("run on all, by role and as a script, and the exit code says how it went", patience, func(ctx SpecContext) {
		g := up(ctx, threeInOffice)
		g.managed(ctx)
		g.typed(ctx, "node", "role", "add", "one", "web")
		g.typed(ctx, "node", "role", "add", "two", "web", "db")
		Expect(g.typed(ctx, "nodes")).To(ContainSubstring("db,web"))

		out, errs, code := g.g8os(ctx, "exec", "--all", "--", "sh", "-c", "hostname; echo a; printf no-end; echo b >&2")
		Expect(code).To(BeZero(), errs)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		slices.Sort(lines)
		Expect(lines).To(Equal([]string{
			"one   | a", "one   | no-end", "one   | one", "three | a", "three | no-end", "three | three", "two   | a", "two   | no-end", "two   | two",
		}))
		Expect(errs).To(And(ContainSubstring("three | b\n"), ContainSubstring("of 3 nodes 3 succeeded")))

		out, errs, code = g.g8os(ctx, "exec", "--role", "web", "--parallel", "1", "--", "sh", "-c", "hostname; [ $(hostname) = one ] || exit 3")
		Expect(code).To(Equal(1))
		Expect(out).To(And(ContainSubstring("one | one\n"), ContainSubstring("two | two\n"), Not(ContainSubstring("three"))))
		Expect(errs).To(And(ContainSubstring("of 2 nodes 1 succeeded, 1 failed"), MatchRegexp(`exit status 3 +two`)))

		By("one node: its output and its code as they are")
		out, errs, code = g.g8os(ctx, "exec", "one", "--", "sh", "-c", `printf '\000\377\n'; exit 7`)
		Expect([]any{out, errs, code}).To(Equal([]any{"\x00\xff\n", "", 7}))
		_, errs, code = g.g8os(ctx, "exec", "one", "--", "no-such-program")
		Expect([]any{code, strings.Contains(errs, "no-such-program")}).To(Equal([]any{127, true}), errs)

		By("refused is not failed")
		for _, who := range [][]string{{"nobody"}, {"--role", "nothing"}} {
			_, errs, code = g.g8os(ctx, slices.Concat([]string{"exec"}, who, []string{"--", "true"})...)
			Expect(code).To(Equal(255), errs)
			Expect(errs).To(ContainSubstring("→ g8os nodes"))
		}

		By("a script, with what it is given")
		script := filepath.Join(GinkgoT().TempDir(), "setup.sh")
		ok(os.WriteFile(script, []byte("#!/bin/sh\necho \"$(hostname) $# $1\"\n"), 0o600))
		out = g.typed(ctx, "run", script, "--role", "db", "--", "a b")
		Expect(out).To(Equal("two | two 1 a b\n"))
	})

	It("wait for a node that is away, are stopped, and are tried again where they failed", patience, func(ctx SpecContext) {
		g := up(ctx, threeInOffice)
		g.managed(ctx)
		ok(g.Node("three").PowerCut(ctx))
		Eventually(ctx, func() string { return g.typed(ctx, "nodes") }).WithTimeout(stepTimeout()).Should(MatchRegexp(`three .* offline`))

		out, errs, code := g.g8os(ctx, "exec", "--all", "--", "hostname")
		Expect(code).To(Equal(1), errs)
		Expect(out).To(And(ContainSubstring("one"), ContainSubstring("two")))
		Expect(errs).To(ContainSubstring("of 3 nodes 2 succeeded, 1 not reached"))

		waits := strings.TrimSpace(g.typed(ctx, "exec", "-d", "--all", "--queue", "10m", "--", "sh", "-c", "echo turn of $(hostname)"))
		Eventually(ctx, func() []string { return g.job(ctx, waits).states() }).WithTimeout(stepTimeout()).Should(Equal([]string{"one success", "three queued", "two success"}))
		ok(g.Node("three").PowerOn(ctx))
		Expect(g.ends(ctx, waits).states()).To(Equal([]string{"one success", "three success", "two success"}))
		Expect(g.typed(ctx, "job", "logs", waits)).To(ContainSubstring("three | turn of three\n"))

		By("a job is cancelled")
		long := strings.TrimSpace(g.typed(ctx, "exec", "-d", "one", "--", "sleep", "1000"))
		Eventually(ctx, func() []string { return g.job(ctx, long).states() }).WithTimeout(stepTimeout()).Should(Equal([]string{"one running"}))
		g.typed(ctx, "job", "cancel", long)
		Expect(g.ends(ctx, long).states()).To(Equal([]string{"one killed"}))

		By("Ctrl-C stops a command")
		cmd := g.command(ctx, "exec", "--all", "--", "sh", "-c", "echo begun; exec sleep 2000")
		seen, err := cmd.StdoutPipe()
		ok(err)
		ok(cmd.Start())
		first := make([]byte, 1)
		_, err = seen.Read(first)
		ok(err)
		ok(cmd.Process.Signal(os.Interrupt))
		_ = cmd.Wait()
		Expect(lab.ExitCode(cmd.ProcessState)).To(Equal(130))
		for _, n := range g.Nodes() {
			Eventually(ctx, func() string { return g.inside(ctx, n.Name(), "sh", "-c", "pgrep -f 'sleep [2]000' || true") }).WithTimeout(stepTimeout()).Should(BeEmpty())
		}

		By("a job is tried again where it failed")
		g.inside(ctx, "one", "touch", "/tmp/there")
		_, errs, code = g.g8os(ctx, "exec", "--all", "--", "ls", "/tmp/there")
		Expect(code).To(Equal(1), errs)
		failed := strings.Fields(errs[strings.LastIndex(errs, "g8os: job "):])[2]
		failed = strings.TrimSuffix(failed, ":")
		g.inside(ctx, "two", "touch", "/tmp/there")
		g.inside(ctx, "three", "touch", "/tmp/there")
		out, errs, code = g.g8os(ctx, "job", "retry", failed)
		Expect(code).To(BeZero(), errs)
		Expect(out).To(And(ContainSubstring("two "), ContainSubstring("three "), Not(ContainSubstring("one "))))
	})

	It("recur, once for each tick, also while the AC is killed and started again", patience, func(ctx SpecContext) {
		g := up(ctx, threeInOffice)
		g.managed(ctx)
		g.typed(ctx, "schedule", "add", "beat", "@every 2s", "--all", "--", "sh", "-c", "echo x >>/tmp/beats")
		beats := func(node string) int {
			return strings.Count(g.inside(ctx, node, "sh", "-c", "cat /tmp/beats 2>/dev/null || true"), "x")
		}
		Eventually(ctx, func() int { return beats("one") }).WithTimeout(stepTimeout()).Should(BeNumerically(">=", 3))
		for range 2 {
			ok(g.AC("ac1").Kill(ctx))
			ok(g.AC("ac1").Start(ctx))
			g.managed(ctx)
			before := beats("two")
			Eventually(ctx, func() int { return beats("two") }).WithTimeout(stepTimeout()).Should(BeNumerically(">=", before+2))
		}
		Expect(g.typed(ctx, "schedule", "show", "beat")).To(MatchRegexp(`last +.* job beat-\d+`))
		g.typed(ctx, "schedule", "remove", "beat")
		Expect(g.typed(ctx, "schedule", "list", "-o", "json")).To(Equal("[]\n"))

		var jobs []shownJob
		Eventually(ctx, func() []shownJob {
			ok(json.Unmarshal([]byte(g.typed(ctx, "job", "list", "--limit", "0", "-o", "json")), &jobs))
			return slices.DeleteFunc(slices.Clone(jobs), func(j shownJob) bool { return j.Ended != nil })
		}).WithTimeout(stepTimeout()).Should(BeEmpty())
		done, ticks := map[string]int{}, map[string]bool{}
		for _, j := range jobs {
			Expect(ticks[j.ID]).To(BeFalse(), "two jobs for tick %s", j.ID)
			ticks[j.ID] = true
			for _, s := range g.job(ctx, j.ID).states() {
				done[s]++
			}
		}
		for _, n := range []string{"one", "two", "three"} {
			Expect(beats(n)).To(Equal(done[n+" success"]), "%s: %v", n, done)
		}
		AddReportEntry("ticks", fmt.Sprint(len(ticks)))
	})
})
