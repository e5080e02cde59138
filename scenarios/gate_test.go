package scenarios

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// broken is what a program says that broke, and a kernel: consoles are among
// the logs of a lab.
var broken = regexp.MustCompile(`WARNING: DATA RACE|panic: |fatal error: |SIGSEGV|` +
	`Kernel panic|BUG: |Oops: |general protection fault|Out of memory: |oom-kill:|invoked oom-killer|` +
	`soft lockup|hard LOCKUP|EXT4-fs error|panic of PID 1|segfault at`)

// expected is the entry of a report that says what a spec breaks on purpose.
const expected = "breaks on purpose"

// breaks declares what a spec breaks on purpose: a line with one of these texts
// is no finding of the gate.
func breaks(texts ...string) {
	for _, t := range texts {
		AddReportEntry(expected, t, ReportEntryVisibilityNever)
	}
}

// gate fails the spec when any program of its lab broke, or a kernel did,
// whatever the spec looked at.
func (g *grid) gate(ctx SpecContext) {
	var declared []string
	for _, e := range CurrentSpecReport().ReportEntries {
		if e.Name == expected {
			declared = append(declared, fmt.Sprint(e.GetRawValue()))
		}
	}
	all := g.logs()
	for _, n := range g.Nodes() {
		all["inside "+n.Name()] = g.inmost(ctx, n)
	}
	for file, text := range all {
		if found := finding(text, declared); found != "" {
			Fail(fmt.Sprintf("%s: a program broke:\n%s", filepath.Base(file), found))
		}
	}
}

// inmost is what a machine that is on has said and did not put on its console.
func (g *grid) inmost(ctx context.Context, n *lab.Node) string {
	if !onMachines() {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, inmostLimit)
	defer cancel()
	r, err := n.Exec(ctx, "sh", "-c", "cat /var/log/g8os/core.log*; dmesg")
	if err != nil {
		return "" // off, or standing still
	}
	return r.Stdout
}

// inmostLimit is for a machine that stands still.
const inmostLimit = 15 * time.Second

// finding is the first thing in a log that broke and was not declared, with
// what follows it.
func finding(text string, declared []string) string {
	at := 0
	for line := range strings.Lines(text) {
		if broken.MatchString(line) && !slices.ContainsFunc(declared, func(d string) bool { return strings.Contains(line, d) }) {
			return text[at:min(len(text), at+4000)]
		}
		at += len(line)
	}
	return ""
}

var _ = Describe("the gate", netns, notVM, func() {
	DescribeTable("finds what broke, and nothing else",
		func(line string, declared []string, found bool) {
			text := "all is well\n" + line + "\nand on\n"
			if !found {
				Expect(finding(text, declared)).To(BeEmpty())
				return
			}
			Expect(finding(text, declared)).To(Equal(line + "\nand on\n"))
		},
		Entry("a data race", "WARNING: DATA RACE", nil, true),
		Entry("a kernel panic", "[    3.1] Kernel panic - not syncing: sysrq triggered crash", nil, true),
		Entry("a declared one", "[    3.1] Kernel panic - not syncing: sysrq triggered crash", []string{"sysrq"}, false),
		Entry("one that was not declared", "[    3.1] Kernel panic - not syncing: Attempted to kill init!", []string{"sysrq"}, true),
		Entry("an oops", "[    3.1] BUG: kernel NULL pointer dereference, address: 0000000000000000", nil, true),
		Entry("the OOM killer", "[   33.1] Out of memory: Killed process 77 (g8os_core)", nil, true),
		Entry("a soft lockup", "[   33.1] watchdog: BUG: soft lockup - CPU#0 stuck for 26s!", nil, true),
		Entry("an option of that name", "Command line: console=ttyS0 panic=30 quiet", nil, false),
	)
})
