package scenarios

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// gated is a job that stands still in the middle of what it says until its gate
// opens, counts its runs on the node's disk, and ends with 7.
type gated struct {
	g    *grid
	n    *lab.Node
	id   string
	name string
}

const halfOfIt = 1000 // lines before and behind the gate

// begin makes the job. Who is away or down takes it later.
func (g *grid) gated(ctx context.Context, name string) *gated {
	GinkgoHelper()
	j := &gated{g: g, n: g.Node("node"), name: name}
	script := fmt.Sprintf(`cd /etc/g8os; echo ran >>runs-%[1]s
say() { i=$1; while [ $i -lt $2 ]; do echo line $i; i=$((i+1)); done; }
say 0 %[2]d; touch half-%[1]s
until [ -e open-%[1]s ]; do sleep 0.02; done
say %[2]d %[3]d; touch said-%[1]s; exit 7`, name, halfOfIt, 2*halfOfIt)
	j.id = strings.TrimSpace(g.typed(ctx, "exec", "-d", "--queue", "10m", "node", "--", "sh", "-c", script))
	return j
}

// comes waits for a file that the job makes.
func (j *gated) comes(ctx context.Context, file string) {
	GinkgoHelper()
	Eventually(ctx, func() error {
		_, err := os.Stat(filepath.Join(j.n.Disk(), file+"-"+j.name))
		return err
	}).WithTimeout(stepTimeout()).Should(Succeed())
}

func (j *gated) open() {
	GinkgoHelper()
	ok(os.WriteFile(filepath.Join(j.n.Disk(), "open-"+j.name), nil, 0o644))
}

func (j *gated) runs() string {
	text, err := os.ReadFile(filepath.Join(j.n.Disk(), "runs-"+j.name))
	if err != nil {
		return ""
	}
	return string(text)
}

// isWhole waits for the job's end: it ran once, its own exit code is known, and
// all that it said is there.
func (j *gated) isWhole(ctx context.Context) {
	GinkgoHelper()
	end := j.g.ends(ctx, j.id)
	Expect(end.Runs).To(HaveLen(1))
	Expect([]any{end.Runs[0].State, end.Runs[0].Code}).To(Equal([]any{"error", 7}), end.Runs[0].Error)
	Expect(j.runs()).To(Equal("ran\n"))
	var want strings.Builder
	for i := range 2 * halfOfIt {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	got, errs, _ := j.g.g8os(ctx, "job", "logs", j.id)
	Expect(strings.ReplaceAll(got, "node | ", "")).To(Equal(want.String()), errs)
}

var _ = Describe("a job", netns, notVM, func() {
	It("runs once and is told whole, whenever g8os_core is killed", patience, func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		n := g.Node("node")
		kill := func() { GinkgoHelper(); ok(n.KillCore(ctx, syscall.SIGKILL)) }
		start := func() { GinkgoHelper(); ok(n.StartCore(ctx)) }

		By("before it was handed out")
		kill()
		j := g.gated(ctx, "before")
		j.open()
		start()
		j.isWhole(ctx)

		By("at a moment that nobody chose, about when it begins")
		j = g.gated(ctx, "begins")
		kill()
		j.open()
		start()
		j.isWhole(ctx)

		By("while it stands still, and it goes on while nobody is there")
		j = g.gated(ctx, "middle")
		j.comes(ctx, "half")
		kill()
		j.open()
		j.comes(ctx, "said")
		start()
		j.isWhole(ctx)

		By("again and again while it speaks")
		j = g.gated(ctx, "often")
		for range 3 {
			kill()
			start()
		}
		j.open()
		kill()
		start()
		j.isWhole(ctx)

		By("after its end, which the AC has not acknowledged")
		j = g.gated(ctx, "acknowledged")
		j.comes(ctx, "half")
		ok(g.AC("ac1").Pause(ctx))
		j.open()
		j.comes(ctx, "said")
		kill()
		ok(g.AC("ac1").Resume(ctx))
		start()
		j.isWhole(ctx)

		By("restarted in order, as for an upgrade")
		j = g.gated(ctx, "restarted")
		j.comes(ctx, "half")
		ok(n.RestartCore(ctx))
		j.open()
		j.isWhole(ctx)
	})

	It("runs once and is told whole, whenever its AC is killed or out of reach", patience, func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		kill := func() { GinkgoHelper(); ok(g.AC("ac1").Kill(ctx)) }
		start := func() { GinkgoHelper(); ok(g.AC("ac1").Start(ctx)) }

		By("as soon as it was made")
		j := g.gated(ctx, "made")
		kill()
		j.open()
		start()
		j.isWhole(ctx)

		By("while it stands still, and it ends while nobody is there")
		j = g.gated(ctx, "middle")
		j.comes(ctx, "half")
		kill()
		j.open()
		j.comes(ctx, "said")
		start()
		j.isWhole(ctx)

		By("with g8os_core")
		j = g.gated(ctx, "both")
		j.comes(ctx, "half")
		kill()
		ok(g.Node("node").KillCore(ctx, syscall.SIGKILL))
		j.open()
		j.comes(ctx, "said")
		ok(g.Node("node").StartCore(ctx))
		start()
		j.isWhole(ctx)

		By("the cable is pulled while it speaks")
		j = g.gated(ctx, "cable")
		j.comes(ctx, "half")
		ok(g.Node("node").SetCarrier(ctx, 0, false))
		j.open()
		j.comes(ctx, "said")
		ok(g.Node("node").SetCarrier(ctx, 0, true))
		j.isWhole(ctx)
	})

	It("that the power took is told as lost, and is not run again; one that had ended is known", patience, func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		n := g.Node("node")
		lost := g.gated(ctx, "lost")
		lost.comes(ctx, "half")
		Eventually(ctx, func() []string { return g.job(ctx, lost.id).states() }).WithTimeout(stepTimeout()).Should(Equal([]string{"node running"}))
		ok(n.PowerCut(ctx))
		lost.open()
		ok(n.PowerOn(ctx))
		end := g.ends(ctx, lost.id)
		Expect(end.states()).To(Equal([]string{"node lost"}), end.Runs[0].Error)
		Expect(lost.runs()).To(Equal("ran\n"))
		g.works(ctx, "node")
	})
})
