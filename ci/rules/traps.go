package rules

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
)

// Trap is something that broke in the earlier generation of the system. Each
// has a test that bears its number.
type Trap struct {
	Number int
	What   string
}

// Traps of boot, network, processes and protocol.
var Traps = []Trap{
	{1, "lo loses 127.0.0.1 in the fallback step"},
	{2, "an interface with method none gets a fallback address"},
	{3, "DHCP without a deadline of its own per interface"},
	{4, "routes and DNS left behind when an interface is given back"},
	{5, "the fallback AC is reached but not used, because controllers are listed"},
	{6, "keys handed out without TLS on the fallback address"},
	{7, "a node does not recover after its link flapped"},
	{8, "an expired lease is kept"},
	{9, "two nodes pick the same X"},
	{10, "a captive portal's answer is taken for an AC"},
	{11, "a wrong clock makes certificates invalid"},
	{12, "a half-right net.toml stops the boot"},
	{13, "an edited net.toml is not taken over"},
	{14, "a failed dependency holds up what does not need it"},
	{15, "a cycle, or an unknown name, among dependencies is tolerated"},
	{16, "ends of processes that come at once are not all seen"},
	{17, "a daemon that a child left behind holds its output open"},
	{18, "one that is stopped while it waits for its restart is started all the same"},
	{19, "the limit of restarts is off by one"},
	{20, "a service that dies at once is started without a pause"},
	{21, "a block of log lines that does not end is lost"},
	{22, "huge or binary output, or an endless line, takes memory or is cut"},
	{23, "a child that does not read what it is given holds its job up"},
	{24, "the last result of what recurs is not to be seen"},
	{25, "an id that is used again starts another job"},
	{26, "output claims to be the end of its job"},
	{27, "what was logged before there was a log is lost"},
	{28, "an AC dies between taking a job and handing it out"},
	{29, "the AC is away when a job ends"},
	{30, "two nodes with one identity"},
	{31, "a node speaks for another"},
	{32, "nodes come and go while a job is for many"},
	{33, "a job that no node can do yet vanishes"},
	{34, "what is silent for long is cut on its way"},
	{35, "an AC that restarts does not know its nodes"},
}

// A trap's test is a Go test with its number in the name, two digits after a
// T (TestT07LinkFlap, TestLinkFlapT07), or a Ginkgo node whose text begins with
// it (It("T7 a node recovers …")). A subtest's text does not count: DHCP has a
// T1 and a T2 of its own.
var (
	trapInName = regexp.MustCompile(`T(\d\d)(?:[A-Z_]|$)`)
	trapInText = regexp.MustCompile(`^T0?(\d+)[ :]`)
)

// TrapTests returns the traps that have no test named after them.
func TrapTests(fsys fs.FS, traps []Trap) ([]Finding, error) {
	files, err := sources(fsys)
	if err != nil {
		return nil, err
	}
	tested := map[int]bool{}
	for _, s := range files {
		if s.isTest() {
			noteTraps(s.file, tested)
		}
	}
	var found []Finding
	for _, t := range traps {
		if !tested[t.Number] {
			found = append(found, Finding{File: ".", What: fmt.Sprintf("no test is named after T%d: %s", t.Number, t.What)})
		}
	}
	return found, nil
}

func noteTraps(f *ast.File, tested map[int]bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if strings.HasPrefix(n.Name.Name, "Test") {
				for _, m := range trapInName.FindAllStringSubmatch(n.Name.Name, -1) {
					note(m[1], tested)
				}
			}
		case *ast.CallExpr:
			if m := trapInText.FindStringSubmatch(specText(n)); m != nil {
				note(m[1], tested)
			}
		}
		return true
	})
}

func note(digits string, tested map[int]bool) {
	if n, err := strconv.Atoi(digits); err == nil {
		tested[n] = true
	}
}

// specText is the text of a Ginkgo node; "" for any other call.
func specText(call *ast.CallExpr) string {
	name, ok := call.Fun.(*ast.Ident)
	if !ok || len(call.Args) == 0 || !specNodes(name.Name) {
		return ""
	}
	lit, ok := call.Args[0].(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	text, _ := strconv.Unquote(lit.Value)
	return text
}

var specNodes = oneOf("It", "Specify", "Entry", "Describe", "DescribeTable", "Context", "When")
