package rules

import (
	"io/fs"
	"strconv"
	"strings"
)

// arrow says what the packages under From may import: parts of this module,
// and modules of others. A nil Outside leaves the latter open.
type arrow struct {
	From    string
	Inside  []string
	Outside []string
}

// The arrows of the design's section 1. The first that fits a folder counts.
var arrows = []arrow{
	{From: "core", Inside: []string{"core", "internal"}},
	{From: "ac-mock/cmd/g8os", Inside: []string{"ac-mock", "core/api", "core/version", "core/jobs/inband", "internal"}}, // what levels are in a job's output is contract too
	{From: "ac-mock", Inside: []string{"ac-mock", "core/api", "core/version", "internal"}},
	{From: "lab", Inside: []string{"lab", "ac-mock", "core", "internal"}},
	{From: "scenarios", Inside: []string{"scenarios", "lab"}, Outside: []string{"github.com/onsi/ginkgo/v2", "github.com/onsi/gomega"}},
	{From: "e2e", Inside: []string{"e2e"}},
	{From: "internal", Inside: []string{"internal", "core/api"}}, // what several parties need
	{From: "ci", Inside: []string{"ci"}},
}

// Arrows finds imports that point the wrong way.
func Arrows(fsys fs.FS) ([]Finding, error) {
	files, err := sources(fsys)
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, s := range files {
		rule, ok := arrowOf(s.dir())
		if !ok {
			found = append(found, s.finding(s.file.Package, "%s is no folder of the design's tree: give it an arrow in ci/rules", s.dir()))
			continue
		}
		for _, imp := range s.file.Imports {
			what, err := strconv.Unquote(imp.Path.Value)
			if err == nil && !rule.allows(what) {
				found = append(found, s.finding(imp.Pos(), "%s must not import %s", rule.From, what))
			}
		}
	}
	return sorted(found), nil
}

func arrowOf(dir string) (arrow, bool) {
	for _, a := range arrows {
		if under(dir, a.From) {
			return a, true
		}
	}
	return arrow{}, false
}

func (a arrow) allows(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	switch {
	case !strings.Contains(first, "."): // standard library
		return true
	case under(imported, Module):
		return underAny(strings.TrimPrefix(strings.TrimPrefix(imported, Module), "/"), a.Inside)
	}
	return a.Outside == nil || underAny(imported, a.Outside)
}

func underAny(p string, roots []string) bool {
	for _, root := range roots {
		if under(p, root) {
			return true
		}
	}
	return false
}
