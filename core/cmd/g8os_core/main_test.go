package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/local"
)

// call runs the command line against a g8os_core that shows s.
func call(t *testing.T, s *api.Status, args ...string) (string, int) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "core.sock")
	if s != nil {
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = local.Serve(t.Context(), l, local.NewBoard(*s), local.Does{Reload: func() {}}) }()
	}
	var out, errw bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := run(ctx, append([]string{"--socket", socket}, args...), &out, &errw)
	if err == nil {
		return out.String(), 0
	}
	return out.String() + err.Error(), code(err)
}

func TestCommandLine(t *testing.T) {
	waiting := &api.Status{Hostname: "n1", Phase: "unlock", WaitsFor: "the AC to release the key", Since: time.Now(), Fingerprint: "aaaa-bbbb"}
	failing := &api.Status{Phase: "network", WaitsFor: "a DHCP lease", LastError: "no offer", Since: time.Now()}
	managed := &api.Status{Hostname: "n1", Phase: "managed", ManagedAfterMS: 700, Since: time.Now()}
	broken := filepath.Join(t.TempDir(), "net.toml")
	if err := os.WriteFile(broken, []byte("controllers = 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hopeless := filepath.Join(t.TempDir(), "hopeless.toml")
	if err := os.WriteFile(hopeless, []byte(strings.Repeat("unknown = 1\n", 30)), 0o600); err != nil {
		t.Fatal(err)
	}
	logs := t.TempDir()
	if err := os.WriteFile(filepath.Join(logs, "boot.log.2"), []byte("what was said then\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		status *api.Status
		args   string
		code   int
		says   string
	}{
		{waiting, "status", 0, "the AC to release the key"},
		{waiting, "status -o json", 0, `"fingerprint":"aaaa-bbbb"`},
		{managed, "status", 0, "after 700ms"},
		{managed, "wait", 0, "managed: reached"},
		{waiting, "wait --phase network", 0, "reached"},
		{waiting, "wait --timeout 1s", 1, "waits for the AC to release the key"},
		{failing, "status", 0, "last error  no offer"},
		{failing, "wait --timeout 1s", 1, "; last error: no offer"},
		{nil, "net " + hopeless, 1, "… and 20 more"},
		{nil, "status", 1, "is it running"},
		{managed, "reload", 0, ""},
		{nil, "version", 0, "g8os_core"},
		{nil, "net " + broken, 1, broken + ":1: controllers"},
		{nil, "run --clock=sundial", 2, "sundial"},
		{nil, "stauts", 2, "stauts"},
		{nil, "wait --phase nowhere", 2, "phase"},
		{nil, "log --boot=-2 --dir " + logs, 0, "what was said then"},
		{nil, "log --dir " + logs, 1, "boot.log: no log of that boot is kept"},
		{nil, "log --boot=-9", 2, "want 0, or -1 to -4"},
		{nil, "log --boot=1", 2, "want 0"},
		{nil, "poweroff", 1, "power off: "},
		{nil, "reboot", 1, "reboot: "},
	} {
		out, got := call(t, tt.status, strings.Fields(tt.args)...)
		if got != tt.code || !strings.Contains(out, tt.says) {
			t.Errorf("g8os_core %s: code %d, want %d; it says %q, want something about %q", tt.args, got, tt.code, out, tt.says)
		}
	}
}
