package accel

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/vm/args"
)

// A /dev/kvm that opens proves nothing: QEMU may abort under it, or the guest
// spin for ever. Either is told in time, and nothing of it goes on running.
func TestAKernelThatDoesNotBootIsLeft(t *testing.T) {
	kernel := make([]byte, 1024) // as far as anybody looks before QEMU does
	copy(kernel[0x1fe:], "\x55\xaa\x00\x00HdrS")
	kernel[0x236] = 1
	image := filepath.Join(t.TempDir(), "vmlinuz")
	if err := os.WriteFile(image, kernel, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		qemu   string
		within time.Duration
		want   string
	}{
		"it hangs":  {"exec sleep 600", 300 * time.Millisecond, `the guest did not say "g8lab: this is userspace" in time; it said nothing`},
		"it aborts": {"echo failed to set MSR 0x10a >&2; exit 134", time.Minute, "QEMU ended: exit status 134: failed to set MSR 0x10a"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			pid := filepath.Join(dir, "pid")
			script := fmt.Sprintf("#!/bin/sh\necho $$ >%s\n%s\n", pid, c.qemu)
			if err := os.WriteFile(filepath.Join(dir, args.Program), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
			_, err := Boot(t.Context(), KVM, image, c.within)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			text, err := os.ReadFile(pid)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat("/proc/" + strings.TrimSpace(string(text))); err == nil {
				t.Error("its QEMU goes on running")
			}
		})
	}
}
