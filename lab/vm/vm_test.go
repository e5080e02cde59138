package vm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/internal/qmp"
	"github.com/g8os/g8os/lab/vm/accel"
	"github.com/g8os/g8os/lab/vm/args"
	"github.com/g8os/g8os/lab/vm/disk"
)

// bare is a machine with firmware and an empty stick: all of QEMU, no guest.
func bare(t *testing.T) Spec {
	t.Helper()
	dir := t.TempDir()
	stick := filepath.Join(dir, "stick")
	if err := disk.State(t.Context(), dir, stick, 16, ""); err != nil {
		t.Fatal(err)
	}
	return Spec{Machine: args.Spec{Name: "bare", Dir: args.Dir(dir), Log: filepath.Join(dir, "console.log"),
		Accel: accel.TCG, MemoryMiB: 64, USB: &args.USB{Image: stick}}}
}

func start(t *testing.T, s Spec) (*VM, *Transient) {
	t.Helper()
	run := &Transient{}
	t.Cleanup(func() { _ = run.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	v, err := Start(ctx, run, s)
	if err != nil {
		t.Fatal(err)
	}
	return v, run
}

func wantState(t *testing.T, v *VM, want string) {
	t.Helper()
	if got := v.State(t.Context()); got != want {
		t.Errorf("the machine is %s, want %s", got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func TestTheLifeOfAMachine(t *testing.T) {
	s := bare(t)
	s.Paused = true
	s.NICs = []NIC{{MAC: "02:00:00:00:00:01"}, {MAC: "02:00:00:00:00:02", LinkDown: true}}
	raw := filepath.Join(string(s.Machine.Dir), "raw")
	other := raw + "2"
	for _, path := range []string{raw, other} {
		must(t, errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<20)))
	}
	s.Disks = []Disk{{Path: raw, Format: "raw", ReadOnly: true, Serial: "tools"}}
	v, run := start(t, s)
	ctx := t.Context()
	wantState(t, v, "prelaunch")
	must(t, v.SetLink(ctx, 1, true))
	must(t, v.PlugNIC(ctx, 2, NIC{MAC: "02:00:00:00:00:03"}))
	must(t, v.PlugDisk(ctx, 1, Disk{Path: other, Format: "raw"}))
	must(t, v.Resume(ctx))
	wantState(t, v, "running")
	must(t, v.Pause(ctx))
	wantState(t, v, "paused")
	must(t, v.Reset(ctx))
	must(t, v.Resume(ctx))
	must(t, v.Powerdown(ctx))
	must(t, run.Close())
	wantState(t, v, Off)
	if err := v.Pause(ctx); err == nil {
		t.Error("a machine without power was paused")
	}
}

func TestWhatCannotBePluggedIsLeftOut(t *testing.T) {
	s := bare(t)
	s.Paused, s.NICs = true, []NIC{{MAC: "02:00:00:00:00:01"}}
	v, _ := start(t, s)
	ctx := t.Context()
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a slot that is taken": {v.PlugNIC(ctx, 0, NIC{MAC: "02:00:00:00:00:02"}), "plug NIC 0 (02:00:00:00:00:02)"},
		"a slot too many":      {v.PlugNIC(ctx, 6, NIC{MAC: "02:00:00:00:00:02"}), "has room for 6"},
		"a group's address":    {v.PlugNIC(ctx, 1, NIC{MAC: "ff:ff:ff:ff:ff:ff"}), "is a group's"},
		"a disk not there":     {v.PlugDisk(ctx, 0, Disk{Path: "/nowhere", Format: "raw"}), "/nowhere"},
		"no such NIC":          {v.SetLink(ctx, 3, false), "nic3"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, c.err, c.want)
		}
	}
	must(t, v.PlugNIC(ctx, 1, NIC{MAC: "02:00:00:00:00:02"})) // nothing of the refused ones is in the way
}

func TestRefusedBeforeAnythingStarts(t *testing.T) {
	for want, change := range map[string]func(*Spec){
		"given twice: to bare eth0 and to bare eth1": func(s *Spec) {
			s.NICs = []NIC{{MAC: "02:00:00:00:00:01"}, {MAC: "02:00:00:00:00:01"}}
		},
		"at most 6 and 6 fit": func(s *Spec) { s.NICs = make([]NIC, 7) },
		"no such file":        func(s *Spec) { s.Machine.USB.Code, s.Machine.USB.Vars = "/no/OVMF_CODE.fd", "/no/vars" },
		"/no/tools.squashfs":  func(s *Spec) { s.Disks = []Disk{{Path: "/no/tools.squashfs", Format: "raw"}} },
		"make image-base": func(s *Spec) {
			s.Machine.USB, s.Machine.Kernel = nil, &args.Kernel{Image: "/no/vmlinuz", Initrd: "/no/initramfs"}
		},
	} {
		s := bare(t)
		change(&s)
		if _, err := Start(t.Context(), never{t}, s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// never is a Runner that must not be asked.
type never struct{ t *testing.T }

func (n never) Start(context.Context, []string) error { n.t.Error("QEMU was started"); return nil }
func (n never) Ended(context.Context) (string, bool)  { return "", true }

func TestAQEMUThatEndsAtOnceSaysWhy(t *testing.T) {
	s := bare(t)
	s.Machine.USB.Format = "parallels"
	run := &Transient{}
	defer run.Close()
	if _, err := Start(t.Context(), run, s); err == nil || !strings.Contains(err.Error(), "QEMU ended at once") || !strings.Contains(err.Error(), "parallels") {
		t.Errorf("got %v", err)
	}
}

func TestATapIsClosedWhateverHappens(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	s := bare(t)
	s.NICs = []NIC{{MAC: "nonsense", Tap: w}}
	if _, err := Start(t.Context(), never{t}, s); err == nil {
		t.Error("nonsense is an address")
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file is open: %v", err)
	}
}

func TestAMachineThatHangsIsStalled(t *testing.T) {
	s := bare(t)
	s.Paused = true
	v, run := start(t, s)
	must(t, unix.Kill(run.PID(), unix.SIGSTOP))
	begun := time.Now()
	wantState(t, v, Stalled)
	if took := time.Since(begun); took > qmp.Patience {
		t.Errorf("known after %s", took)
	}
	must(t, unix.Kill(run.PID(), unix.SIGCONT))
}
