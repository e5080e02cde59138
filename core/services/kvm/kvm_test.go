package kvm

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/services/program"
	"github.com/g8os/g8os/core/services/spec"
)

// boot writes a disk with a guest that says "guest" on its serial port and does
// nothing more: no ACPI, so that its power button is of no use.
func boot(t *testing.T, size int) string {
	t.Helper()
	code := []byte{0xba, 0xf8, 0x03} // mov dx, 0x3f8
	for _, c := range []byte("guest\n") {
		code = append(code, 0xb0, c, 0xee) // mov al, c; out dx, al
	}
	code = append(code, 0xf4, 0xeb, 0xfd) // hlt; jmp to it
	disk := append(code, make([]byte, size-len(code))...)
	disk[510], disk[511] = 0x55, 0xaa
	file := filepath.Join(t.TempDir(), "boot.img")
	if err := os.WriteFile(file, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func declared(t *testing.T, text string) spec.Service {
	t.Helper()
	f := spec.Parse("x.toml", []byte("[service.guest]\nruntime = \"kvm\"\n"+text))
	if len(f.Problems) > 0 {
		t.Fatal(f.Problems)
	}
	return f.Services[0]
}

func TestArguments(t *testing.T) {
	s := declared(t, `kvm = { disks = ["/d/a.qcow2", "/d/b"], kernel = "/k", append = "a b", cpus = 2, memory = "512MiB", args = ["-nic", "user"] }`)
	got := strings.Join(arguments(s, "/run/guest.qmp", "kvm"), " ")
	for _, want := range []string{
		"-machine q35,accel=kvm -cpu host", "-smp 2 -m 512M", "format=qcow2,file=/d/a.qcow2", "format=raw,file=/d/b", "-kernel /k -append a b", "unix:/run/guest.qmp,server=on",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	if !strings.HasSuffix(got, " -nic user") || strings.Contains(got, "-initrd") || strings.Contains(got, "graphics=off") {
		t.Error(got)
	}
}

// bootable is a size that SeaBIOS boots by virtio: one cylinder of its geometry
// or more.
const bootable = 1 << 20

// TestGuest has a real QEMU run: it is ready, outlives who started it, is
// adopted, and is switched off when its power button is of no use.
func TestGuest(t *testing.T) {
	if _, err := exec.LookPath(binary); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	s := declared(t, `kvm = { disks = ["`+boot(t, bootable)+`"], memory = "32MiB", accel = "tcg" }
ready = { output = "guest" }
stop = { grace = "500ms" }`)
	w := program.Where{RunDir: dir, LogDir: dir, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first, err := New(s, w).Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Stop() })
	if err := first.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	adopted, err := New(s, w).Adopt()
	if err != nil {
		t.Fatal(err)
	}
	if adopted.PID() != first.PID() {
		t.Errorf("adopted %d, it is %d", adopted.PID(), first.PID())
	}
	begun := time.Now()
	if err := adopted.Stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < s.Grace {
		t.Errorf("was switched off after %v, want no sooner than %v", took, s.Grace)
	}
	var said []string
	err = New(s, w).Logs(ctx, 10, false, func(line []byte) error { said = append(said, string(line)); return nil })
	if err != nil || !slices.ContainsFunc(said, func(l string) bool { return strings.Contains(l, "guest") }) {
		t.Errorf("%q, %v", said, err)
	}
}

// Of one that does not boot its log says why.
func TestAGuestThatDoesNotBootSaysSo(t *testing.T) {
	if _, err := exec.LookPath(binary); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	s := declared(t, `kvm = { disks = ["`+boot(t, 512)+`"], memory = "32MiB", accel = "tcg" }
ready = { output = "No bootable device" }
stop = { grace = "100ms" }`)
	w := program.Where{RunDir: dir, LogDir: dir, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	i, err := New(s, w).Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Stop() })
	if err := i.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "guest.log"))
	if err != nil || !strings.Contains(string(text), "could not read the boot disk") {
		t.Errorf("%q, %v", text, err)
	}
}
