package planted

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// names are the values of the constants in planted.go: a build without the tag
// has no list of them.
func names(t *testing.T) (all []string) {
	f, err := parser.ParseFile(token.NewFileSet(), "planted.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if c, ok := n.(*ast.ValueSpec); ok {
			text, err := strconv.Unquote(c.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text)
		}
		return true
	})
	return all
}

// build makes the shipped binaries and returns what is in both.
func build(t *testing.T, flags ...string) []byte {
	dir := t.TempDir() + string(filepath.Separator)
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", dir}, flags...)
	c := exec.Command("go", append(args, "../../core/cmd/g8os_core", "../../ac-mock/cmd/g8os_ac")...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build %v: %v\n%s", flags, err, out)
	}
	var all []byte
	for _, name := range []string{"g8os_core", "g8os_ac"} {
		b, err := os.ReadFile(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

// What is shipped has nothing of the bugs; what is built to be wrong has all.
func TestNothingIsLeftInABuildWithoutTheTag(t *testing.T) {
	shipped, wrong := build(t), build(t, "-tags", "planted")
	for _, name := range names(t) {
		if bytes.Contains(shipped, []byte(name)) {
			t.Errorf("%q is in a build without the tag", name)
		}
		if !bytes.Contains(wrong, []byte(name)) {
			t.Errorf("%q is not in a build with the tag", name)
		}
	}
}
