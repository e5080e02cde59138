package node

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/g8os/g8os/core/unlock"
)

// The token of the node's folder goes before that of the command line; blanks
// around it are none of it; and once it is not needed none is left.
func TestJoinToken(t *testing.T) {
	dir, run := t.TempDir(), t.TempDir()
	k := &keys{opt: Options{Dir: dir, RunDir: run}, log: slog.New(slog.DiscardHandler)}
	v, err := unlock.Open(unlock.Options{Dir: dir, Mount: t.TempDir(), RunDir: run})
	if err != nil {
		t.Fatal(err)
	}
	put := func(dir, text string) {
		if err := os.WriteFile(filepath.Join(dir, tokenFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what, token string) {
		t.Helper()
		if got := k.joinToken(v); string(got) != token {
			t.Errorf("%s: %q, want %q", what, []byte(got), token)
		}
	}
	want("none", "")
	put(run, "from-the-command-line\n")
	want("of the command line", "from-the-command-line")
	put(dir, " \n")
	want("an empty file beside it", "from-the-command-line")
	put(dir, " from-the-folder\n")
	want("of the folder", "from-the-folder")
	put(dir, strings.Repeat("x", 1000))
	want("one that is too long", "from-the-command-line")
	k.forgetToken()
	want("forgotten", "")
	for _, path := range k.tokenFiles() {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	k.forgetToken() // nothing to forget
}
