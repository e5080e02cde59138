package rules

import (
	"go/ast"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Pure are the packages that decide: step functions and plain data. They see
// no clock, no randomness, no file, no socket, and start no goroutine.
var Pure = []string{
	"core/api",
	"core/boot",
	"core/console/screen",
	"core/jobs/inband",
	"core/jobs/ledger",
	"core/managed/pulse",
	"core/monitor/alarm",
	"core/monitor/measure",
	"core/network",
	"core/network/conflict",
	"core/network/lease",
	"core/network/nettoml",
	"core/problem",
	"core/services/order",
	"core/services/spec",
	"core/unlock/grace",
	"core/upgrade/trial",
	"ac-mock/audit/chain",
	"ac-mock/enrol",
	"ac-mock/events/intake",
	"ac-mock/fallback/claim",
	"ac-mock/hub/dispatch",
	"ac-mock/jobs/delivery",
	"ac-mock/jobs/schedule/due",
	"ac-mock/rotate",
	"ac-mock/upgrade/rollout",
	"lab/actor/dhcp/decide",
	"lab/impair/link",
	"lab/fault",
	"lab/grid",
	"lab/invariant",
	"lab/run/agenda",
	"lab/shrink",
	"lab/turn",
	"lab/chaos",
}

// impureImports bring the world in. math/rand/v2 is not among them: a
// generator made from a seed that was handed in is a pure function. Nor is net,
// for its parsers. impureCalls sees to both.
var impureImports = map[string]string{
	"net/http":    "sockets",
	"os":          "files and processes",
	"os/exec":     "processes",
	"os/signal":   "processes",
	"io/ioutil":   "files",
	"syscall":     "the kernel",
	"math/rand":   "randomness",
	"crypto/rand": "randomness",
	"sync":        "goroutines",
	"sync/atomic": "goroutines",
	"unsafe":      "memory",

	"golang.org/x/sys/unix":                        "the kernel",
	"github.com/vishvananda/netlink":               "the kernel",
	"github.com/mdlayher/packet":                   "sockets",
	"github.com/coder/websocket":                   "sockets",
	"github.com/vishvananda/netns":                 "the kernel",
	"golang.org/x/sync/errgroup":                   "goroutines",
	"go.etcd.io/etcd/client/v3":                    "sockets",
	"go.etcd.io/etcd/server/v3/embed":              "sockets",
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4": "sockets",
}

// impureCalls says, per package, which of its functions and names may not be
// used, and what to do instead.
var impureCalls = []struct {
	pkg     string
	bad     func(name string) bool
	instead string
}{
	{"time", oneOf("Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"), "be given the time"},
	{"net", startsWith("Listen", "Dial", "Lookup", "Resolve", "Interface", "File", "Pipe", "DefaultResolver"), "leave sockets to its shell"},
	{"math/rand/v2", not(oneOf("New", "NewPCG", "NewChaCha8", "Rand", "PCG", "ChaCha8", "Source")), "use a generator made from a seed it was given"},
}

func oneOf(names ...string) func(string) bool {
	return func(name string) bool { return slices.Contains(names, name) }
}

func startsWith(prefixes ...string) func(string) bool {
	return func(name string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	}
}

func not(f func(string) bool) func(string) bool {
	return func(name string) bool { return !f(name) }
}

// Purity finds what does not belong into the packages named. Tests are free.
func Purity(fsys fs.FS, packages []string) ([]Finding, error) {
	files, err := sources(fsys)
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, s := range files {
		if s.isTest() || !slices.Contains(packages, s.dir()) {
			continue
		}
		found = append(found, impureImportsOf(s)...)
		found = append(found, impureCode(s)...)
	}
	return sorted(found), nil
}

func impureImportsOf(s source) []Finding {
	var found []Finding
	for _, imp := range s.file.Imports {
		name, _ := strconv.Unquote(imp.Path.Value)
		if why, bad := impureImports[name]; bad {
			found = append(found, s.finding(imp.Pos(), "%s decides, it must not import %s (%s)", s.dir(), name, why))
		}
	}
	return found
}

func impureCode(s source) []Finding {
	var found []Finding
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, s.finding(n.Pos(), "%s decides, it must not start a goroutine", s.dir()))
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				found = append(found, impureCall(s, x.Name, n)...)
			}
		}
		return true
	})
	return found
}

func impureCall(s source, pkg string, n *ast.SelectorExpr) []Finding {
	for _, c := range impureCalls {
		if pkg == localName(s.file, c.pkg) && c.bad(n.Sel.Name) {
			return []Finding{s.finding(n.Pos(), "%s decides, it must %s instead of calling %s.%s", s.dir(), c.instead, path.Base(strings.TrimSuffix(c.pkg, "/v2")), n.Sel.Name)}
		}
	}
	return nil
}

// localName is the name under which a file knows an import; "" if it does not.
func localName(f *ast.File, imported string) string {
	for _, imp := range f.Imports {
		if name, _ := strconv.Unquote(imp.Path.Value); name != imported {
			continue
		}
		if imp.Name != nil {
			return imp.Name.Name
		}
		return path.Base(strings.TrimSuffix(imported, "/v2"))
	}
	return ""
}
