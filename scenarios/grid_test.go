package scenarios

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/topology"
)

// grid is a lab of one spec.
type grid struct{ *lab.Lab }

// up brings up a lab for the spec that runs, and sees to the rest: diagnostics
// when it fails, the gate, and down.
func up(ctx context.Context, text string, change ...func(*lab.Options)) *grid {
	GinkgoHelper()
	top, err := topology.Parse("topology.yaml", []byte(text))
	ok(err)
	ok(top.SetFidelity(fidelity))
	options := lab.Options{Name: labName(), Cold: os.Getenv("G8LAB_COLD") != "", Log: slog.New(slog.NewTextHandler(GinkgoWriter, nil))}
	for _, c := range change {
		c(&options)
	}
	// Last registered runs first.
	DeferCleanup(func(ctx SpecContext) {
		ok(lab.Down(ctx, options.Name, lab.DownOptions{KeepLogs: logsToKeep()}))
	}, NodeTimeout(time.Minute))
	l, err := lab.Up(ctx, top, options)
	if l != nil {
		g := &grid{l}
		DeferCleanup(g.gate, NodeTimeout(time.Minute))
		DeferCleanup(g.diagnose, NodeTimeout(30*time.Second))
	}
	if err != nil && l == nil && strings.Contains(err.Error(), "make image builds it") {
		Skip(err.Error())
	}
	ok(err)
	return &grid{l}
}

// held makes up leave g8os_core to be started by the spec.
func held(o *lab.Options) { o.Hold = true }

// managed waits until all nodes are.
func (g *grid) managed(ctx context.Context) {
	GinkgoHelper()
	ok(g.WaitManaged(ctx))
}

// reaches waits until a node's status fulfils a condition.
func (g *grid) reaches(ctx context.Context, node, what string, holds func(lab.Status) bool) lab.Status {
	GinkgoHelper()
	s, err := g.Node(node).WaitFor(ctx, what, holds)
	ok(err)
	return s
}

// status of a node, now.
func (g *grid) status(ctx context.Context, node string) lab.Status {
	GinkgoHelper()
	s, err := g.Node(node).Status(ctx)
	ok(err)
	return s
}

// inside runs a command in a node and returns what it prints; a code other
// than 0 fails the spec.
func (g *grid) inside(ctx context.Context, node string, argv ...string) string {
	GinkgoHelper()
	r, err := g.Node(node).Exec(ctx, argv...)
	ok(err)
	Expect(r.Code).To(BeZero(), "%s on %s: %s", strings.Join(argv, " "), node, r.Stderr)
	return r.Stdout
}

// coreLog is what g8os_core of a node has logged. That of a machine is on its
// disk; its console is another log.
func (g *grid) coreLog(ctx context.Context, n *lab.Node) string {
	if !onMachines() {
		return g.logs()[n.LogPath()]
	}
	r, err := n.Exec(ctx, "sh", "-c", "cat /var/log/g8os/core.log.* /var/log/g8os/core.log 2>/dev/null")
	if err != nil {
		return ""
	}
	return r.Stdout
}

// logs of all machines and actors of the lab, by path.
func (g *grid) logs() map[string]string {
	files, _ := filepath.Glob(filepath.Join(g.LogDir(), "*"))
	all := map[string]string{}
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil {
			all[f] = string(text)
		}
	}
	return all
}

// diagnose puts into the report of a spec that failed what one would ask for.
func (g *grid) diagnose(ctx SpecContext) {
	if !CurrentSpecReport().Failed() {
		return
	}
	var b strings.Builder
	for _, row := range g.Status(ctx).Nodes {
		fmt.Fprintf(&b, "%-12s %s %-9s %-10s %-20s %s\n  waits for %q, last error %q, warnings %q\n",
			row.Name, row.MAC, row.Phase, row.Way, row.Address, row.Controller, row.Status.WaitsFor, row.Status.LastError, row.Status.Warnings)
	}
	AddReportEntry("nodes", b.String())
	for file, text := range g.logs() {
		AddReportEntry(filepath.Base(file), tail(text, 25))
	}
	for _, n := range g.Nodes() {
		if onMachines() {
			AddReportEntry("core.log of "+n.Name(), tail(g.coreLog(ctx, n), 40))
		}
	}
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

var unsafeInName = regexp.MustCompile(`[^A-Za-z0-9]+`)

// logsToKeep is the directory for the logs of a spec that failed; "" for one
// that did not.
func logsToKeep() string {
	spec := CurrentSpecReport()
	if !spec.Failed() {
		return ""
	}
	dir := filepath.Join("..", "build", "reports", "logs", unsafeInName.ReplaceAllString(spec.FullText(), "-"))
	if os.RemoveAll(dir) != nil || os.MkdirAll(filepath.Dir(dir), 0o755) != nil {
		return ""
	}
	AddReportEntry("logs kept in", dir)
	return dir
}
