//go:build planted

package planted

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/g8os/g8os/internal/planted"
)

// apart are bugs that no grid can show yet, and the tests of a package that
// find them: the simulated nodes rotate no keys.
var apart = []struct {
	bug       planted.Bug
	dir, test string
}{
	{planted.SlotRemovedEarly, "../../core/unlock", "TestRotateAddsProvesAndRemoves"},
}

func TestApart(t *testing.T) {
	for _, a := range apart {
		t.Run(string(a.bug), func(t *testing.T) {
			if out, err := runTest(a.dir, a.test, ""); err != nil {
				t.Fatalf("without the bug: %v\n%s", err, out)
			}
			out, err := runTest(a.dir, a.test, a.bug)
			if err == nil || !bytes.Contains(out, []byte("--- FAIL: "+a.test)) {
				t.Fatalf("%s does not find it: %v\n%s", a.test, err, out)
			}
			note(a.bug, "unit", a.test, found{})
		})
	}
}

func runTest(dir, test string, bug planted.Bug) ([]byte, error) {
	c := exec.Command("go", "test", "-tags", "planted", "-count=1", "-run", "^"+test+"$", dir)
	c.Env = append(os.Environ(), planted.Variable+"="+string(bug))
	return c.CombinedOutput()
}
