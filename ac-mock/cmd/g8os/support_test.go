package main

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/client/clienttest"
	"github.com/g8os/g8os/core/api"
)

// A bundle is written whole or not at all, for nobody else to read, and over
// nothing.
func TestSupportBundle(t *testing.T) {
	broken := false
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.PathMetrics, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "g8os_ac_sessions 3\n") })
	mux.HandleFunc("GET "+api.PathSupport, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
		if broken {
			panic(http.ErrAbortHandler)
		}
	})
	g := clienttest.NewGrid(t)
	path := g.Context("default", g.AC(mux, time.Now().Add(time.Hour)))
	file := filepath.Join(t.TempDir(), "b.tgz")
	if code, _, stderr := try(t, path, "support-bundle", file); code != 0 || !strings.Contains(stderr, "1024 KiB") {
		t.Fatalf("%d %s", code, stderr)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 1<<20 {
		t.Errorf("%v %v", info, err)
	}
	if code, _, stderr := try(t, path, "support-bundle", file); code != exitUsage || !strings.Contains(stderr, "is there already") {
		t.Errorf("over a file: %d %s", code, stderr)
	}
	broken = true
	other := filepath.Join(t.TempDir(), "c.tgz")
	code, _, stderr := try(t, path, "support-bundle", other)
	if _, err := os.Stat(other); code != exitFailed || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one that broke off: %d %s, file %v", code, stderr, err)
	}
	if code, stdout, stderr := try(t, path, "metrics"); code != 0 || stdout != "g8os_ac_sessions 3\n" {
		t.Errorf("metrics: %d %q %s", code, stdout, stderr)
	}
}
