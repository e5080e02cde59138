package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// slow says that this run may take minutes and fetch packages: make e2e does.
const slow = "G8OS_SLOW_TESTS"

// Two builds of one commit are the same bytes, wherever the checkout, the
// cache and the outputs are.
func TestSameCommitSameBytes(t *testing.T) {
	if os.Getenv(slow) == "" {
		t.Skip("builds the image twice, some minutes: set " + slow + "=1 (make e2e does)")
	}
	top := t.TempDir()
	one, two := filepath.Join(top, "one"), filepath.Join(top, "two/further/down")
	must(t, os.MkdirAll(one, 0o755))
	shell(t, "../..", "git ls-files -z | xargs -0 cp --parents -t "+one)
	must(t, os.CopyFS(two, os.DirFS(one)))
	first, second := buildElsewhere(t, one), buildElsewhere(t, two)
	if len(first.Artefacts) != len(second.Artefacts) || len(first.Artefacts) < 6 {
		t.Fatalf("%d and %d artefacts, want the same 6 or more", len(first.Artefacts), len(second.Artefacts))
	}
	for i, a := range first.Artefacts {
		if b := second.Artefacts[i]; a != b {
			t.Errorf("%s differs: %+v, %+v", a.Name, a, b)
		}
	}
}

// buildElsewhere builds a copy of the checkout with an empty cache, but for the
// packages, whose hashes the lock has.
func buildElsewhere(t *testing.T, source string) Manifest {
	t.Helper()
	cache, out := source+"-cache", source+"-out"
	must(t, os.MkdirAll(cache, 0o755))
	packages := filepath.Join(defaultCache(), "packages")
	must(t, os.MkdirAll(packages, 0o755))
	must(t, os.Symlink(packages, filepath.Join(cache, "packages")))
	shell(t, source, "go run ./ci/image -version test -built 1 -out "+out+" -cache "+cache)
	text, err := os.ReadFile(filepath.Join(out, "manifest.json"))
	must(t, err)
	var m Manifest
	must(t, json.Unmarshal(text, &m))
	return m
}

func shell(t *testing.T, dir, line string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return strings.TrimSpace(string(out))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
