package scenarios

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// byToken is a grid of an AC that lets in who brings a join token.
var byToken = strings.Replace(strings.Replace(approving, "policy: approve", "policy: token", 1), "{name: node,", "{name: node, count: 2,", 1)

// said is what g8os said to an operator.
type said struct {
	Stdout, Stderr string
	Code           int
}

// operate runs g8os with a context: empty is that of the lab's first admin.
func (g *grid) operate(ctx context.Context, as string, argv ...string) said {
	GinkgoHelper()
	bin, err := lab.FindBinDir("")
	ok(err)
	if as == "" {
		as = filepath.Join("/run/g8os/contexts", g.Name()+".toml")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "g8os"), append([]string{"--context", as}, argv...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		Expect(errors.As(err, &exit)).To(BeTrue(), "%v", err)
	}
	return said{out.String(), errs.String(), lab.ExitCode(cmd.ProcessState)}
}

// done demands that g8os did what it was told, and returns what it printed.
func (g *grid) done(ctx context.Context, as string, argv ...string) string {
	GinkgoHelper()
	s := g.operate(ctx, as, argv...)
	Expect(s.Code).To(BeZero(), "g8os %v: %s%s", argv, s.Stdout, s.Stderr)
	return strings.TrimSpace(s.Stdout)
}

// refused demands that g8os did not, and said why and what to do.
func (g *grid) refused(ctx context.Context, as, why string, argv ...string) {
	GinkgoHelper()
	s := g.operate(ctx, as, argv...)
	Expect(s.Code).To(Equal(1), "g8os %v: %s%s", argv, s.Stdout, s.Stderr)
	Expect(s.Stderr).To(And(ContainSubstring(why), ContainSubstring("→")), "g8os %v", argv)
}

var _ = Describe("a join token", netns, vm, func() {
	It("lets in one machine, which forgets it; the next one with it is refused, as one without is", func(ctx SpecContext) {
		g := up(ctx, byToken, held)
		ok(g.Node("node-1").StartCore(ctx))
		g.reaches(ctx, "node-1", "refused", waits("unlock", "refused"))
		Expect(g.done(ctx, "", "nodes", "-o", "json")).To(Equal("[]"), "a stranger left a record")

		By("a token is put where the machine looks for it, while it asks")
		token := g.done(ctx, "", "token", "create", "--for", "10m", "--uses", "1")
		g.inside(ctx, "node-1", "sh", "-ec", `printf '%s\n' "$0" >/etc/g8os/token`, token)
		g.works(ctx, "node-1")
		g.audited(ctx, "node-1", "unlock", "granted", "join token")
		Expect(g.inside(ctx, "node-1", "ls", "/etc/g8os")).NotTo(ContainSubstring("token"))

		By("it is spent")
		Expect(g.done(ctx, "", "token", "list")).To(MatchRegexp(`spent +0 of 1`))
		ok(g.Node("node-2").StartCore(ctx)) // a machine that is held has no state disk yet to put anything on
		g.reaches(ctx, "node-2", "refused", waits("unlock", "refused"))
		g.inside(ctx, "node-2", "sh", "-ec", `printf '%s\n' "$0" >/etc/g8os/token`, token)
		Eventually(ctx, func() string { return g.done(ctx, "", "audit", "-o", "json") }).WithTimeout(stepTimeout()).
			Should(ContainSubstring("join token is spent"))

		By("the node needs none any more")
		ok(g.Node("node-1").PowerCut(ctx))
		ok(g.Node("node-1").PowerOn(ctx))
		g.works(ctx, "node-1")
		Expect(g.coreLog(ctx, g.Node("node-1"))).NotTo(ContainSubstring(token))
	}, patience)
})

var _ = Describe("a recovery key", netns, vm, func() {
	It("opens the volume while there is no AC, and no other key does; with an AC the node goes on as it was", func(ctx SpecContext) {
		g := up(ctx, pair)
		g.managed(ctx)
		n := g.Node("node-1")
		key := g.done(ctx, "", "recovery", "show", "node-1")
		other := g.done(ctx, "", "recovery", "show", "node-2")
		files := g.inside(ctx, "node-1", "sh", "-ec", "cd /mnt/etc; find . -type f | sort")
		program := g.program(ctx, "node-1")
		ok(g.AC("ac1").Kill(ctx))
		ok(n.PowerCut(ctx))
		ok(n.PowerOn(ctx))
		g.reaches(ctx, "node-1", "without an AC", waits("network", ""))
		recover := func(key string) lab.Result {
			GinkgoHelper()
			r, err := n.Exec(ctx, "sh", "-c", `printf '%s\n' "$0" | `+program+` recover`, key)
			ok(err)
			return r
		}

		By("one with a wrong letter, and another node's")
		Expect(recover(key[:5] + "AAAA" + key[9:])).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring("a letter is wrong"))))
		Expect(recover(other)).To(And(HaveField("Code", 1), HaveField("Stderr", ContainSubstring("it is of another node"))))
		Expect(g.inside(ctx, "node-1", "sh", "-c", "find /mnt/etc -type f 2>/dev/null || true")).To(BeEmpty())

		By("its own")
		r := recover(strings.ToLower(key))
		Expect(r.Code).To(BeZero(), "%+v", r)
		Expect(g.inside(ctx, "node-1", "sh", "-ec", "cd /mnt/etc; find . -type f | sort")).To(Equal(files))

		By("the AC is there again")
		ok(g.AC("ac1").Start(ctx))
		g.works(ctx, "node-1")
		Expect(g.coreLog(ctx, n)).NotTo(ContainSubstring(key))
	}, patience)
})

// program is the path of the g8os_core that runs on a node.
func (g *grid) program(ctx context.Context, node string) string {
	GinkgoHelper()
	return strings.TrimSpace(g.inside(ctx, node, "readlink", "-f", fmt.Sprintf("/proc/%d/exe", g.status(ctx, node).PID)))
}

var _ = Describe("an operator", netns, func() {
	It("may do what his role says; revoked he may nothing, at once; and all of it is in an audit that is whole", notVM, func(ctx SpecContext) {
		g := up(ctx, approving)
		dir := GinkgoT().TempDir()
		g.reaches(ctx, "node", "refused", waits("unlock", "refused"))
		as := func(role, name string) string {
			GinkgoHelper()
			g.done(ctx, "", "operator", "add", name, "--role", role, "--out", filepath.Join(dir, name))
			return filepath.Join(dir, name, name+".toml")
		}
		vic, oz, ann := as("viewer", "vic"), as("operator", "oz"), as("admin", "ann")

		By("a viewer sees, and no more")
		g.done(ctx, vic, "nodes")
		g.refused(ctx, vic, "not of a level", "node", "approve", "node")
		g.refused(ctx, vic, "not of a level", "token", "create")
		g.record(ctx, "node", stands("pending", "approval"))

		By("an operator approves and runs commands, and cannot end a node nor see its recovery key")
		g.done(ctx, oz, "node", "approve", "node")
		g.managed(ctx)
		Expect(g.done(ctx, oz, "exec", "node", "--", "echo", "hi")).To(Equal("hi"))
		g.refused(ctx, oz, "not of a level", "node", "retire", "node")
		g.refused(ctx, oz, "not of a level", "recovery", "show", "node")
		g.refused(ctx, oz, "not of a level", "operator", "add", "eve", "--role", "admin", "--out", filepath.Join(dir, "eve"))

		By("the recovery key is shown once")
		Expect(g.done(ctx, ann, "recovery", "show", "node")).To(MatchRegexp(`^([A-Z2-7]{4}-){13}[A-Z2-7]{4}$`))
		g.refused(ctx, "", "admin.ann", "recovery", "show", "node")

		By("revoked, he is refused at once, also on what he was watching")
		watching, stop := context.WithCancel(ctx)
		defer stop()
		ended := make(chan said, 1)
		go func() {
			defer GinkgoRecover()
			ended <- g.operate(watching, oz, "exec", "node", "--", "sleep", "1000")
		}()
		Eventually(ctx, func() string { return g.inside(ctx, "node", "sh", "-c", "ps ax || ps") }).WithTimeout(stepTimeout()).Should(ContainSubstring("sleep 1000"))
		g.done(ctx, ann, "operator", "revoke", "oz")
		Eventually(ctx, ended).WithTimeout(3 * time.Second).Should(Receive(HaveField("Stderr", ContainSubstring("does not count any more"))))
		Expect(g.operate(ctx, oz, "nodes").Code).NotTo(BeZero())
		Eventually(ctx, func() string { return g.inside(ctx, "node", "sh", "-c", "ps ax || ps") }).WithTimeout(stepTimeout()).ShouldNot(ContainSubstring("sleep 1000"))

		By("nobody takes the grid away from everybody")
		g.refused(ctx, ann, "nobody revokes himself", "operator", "revoke", "ann")

		By("quarantined it is out, released it is back; unknown ones are refused with the way out")
		g.done(ctx, ann, "node", "quarantine", "node")
		g.reaches(ctx, "node", "refused", waits("unlock", "refused"))
		g.done(ctx, ann, "node", "release", "node")
		g.works(ctx, "node")
		g.refused(ctx, ann, "no such node", "node", "approve", "nobody")

		By("the audit is whole, also after the AC was killed")
		mark := strings.Fields(g.done(ctx, vic, "audit", "verify"))
		ok(g.AC("ac1").Kill(ctx))
		ok(g.AC("ac1").Start(ctx))
		Expect(g.done(ctx, vic, "audit", "verify", "--noted", mark[len(mark)-1])).To(HavePrefix("whole"))
		Expect(g.done(ctx, vic, "audit", "-o", "json")).To(And(ContainSubstring(`"recovery"`), ContainSubstring(`"operator revoke"`), ContainSubstring("admin.ann")))
	}, patience)
})

var _ = Describe("the audit of several ACs", Label("acs"), netns, notVM, func() {
	It("is one chain, whoever of them wrote and whoever is asked, also after one was killed", func(ctx SpecContext) {
		g := up(ctx, threeACsFile())
		g.managed(ctx)
		for i, name := range []string{"ac1", "ac2", "ac3"} {
			ac := g.AC(name)
			for range 5 { // at once, as far as can be
				_, err := ac.Exec(ctx, g.Nodes()[i], "true")
				ok(err)
			}
		}
		before := strings.Fields(g.done(ctx, "", "audit", "verify"))
		mark := before[len(before)-1]
		soon := func(says string, argv ...string) { // while the store elects a leader, it says that
			GinkgoHelper()
			Eventually(ctx, func() said { return g.operate(ctx, "", argv...) }).WithTimeout(stepTimeout()).
				Should(And(HaveField("Code", 0), HaveField("Stdout", HavePrefix(says))))
		}
		ok(g.AC("ac2").Kill(ctx))
		soon("g8t-", "token", "create")
		soon("whole", "audit", "verify", "--noted", mark)
		ok(g.AC("ac2").Start(ctx))
		ok(g.AC("ac2").WaitReady(ctx))
		ok(g.AC("ac1").Kill(ctx))
		soon("whole", "audit", "verify", "--noted", mark)
	}, patience)
})
