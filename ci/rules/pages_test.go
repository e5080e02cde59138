package rules

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testName = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	specName = regexp.MustCompile("`([a-z_]+_test\\.go)`( \"([^\"]+)\")?")
)

// A page that says by which test something is shown names one that exists.
func TestPagesNameRealTests(t *testing.T) {
	root := "../.."
	declared, files := map[string]bool{}, map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if path == filepath.Join(root, "build") { // what is made there is no page's test
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			declared[m[1]] = true
		}
		files[filepath.Base(path)] += string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(root, "ac-mock", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		raw, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testName.FindAllStringSubmatch(string(raw), -1) {
			if !declared[m[1]] {
				t.Errorf("%s: there is no test %s", page, m[1])
			}
		}
		for _, m := range specName.FindAllStringSubmatch(string(raw), -1) {
			if text, ok := files[m[1]]; !ok || !strings.Contains(text, m[3]) {
				t.Errorf("%s: %s has no spec %q", page, m[1], m[3])
			}
		}
	}
}
