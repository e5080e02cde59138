package accel

import (
	"bytes"
	"context"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The probe's program runs on this kernel too. Its power-off is that of its own
// PID namespace, which ends it by SIGINT (reboot(2)); of the machine it is not
// even allowed to, in its own user namespace.
func TestTheProgramSpeaksAndPowersOff(t *testing.T) {
	if _, err := elf.NewFile(bytes.NewReader(program())); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "init")
	if err := os.WriteFile(path, program(), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}}
	out, err := cmd.Output()
	if string(out) != said {
		t.Errorf("it says %q (%v)", out, err)
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v, not by its own power-off", err)
	}
}

func TestAVerdictIsRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "accel.json")
	if _, ok := remembered(path); ok {
		t.Error("remembers what never was")
	}
	remember(path, Verdict{Accel: TCG, Reason: "so"})
	v, ok := remembered(path)
	if !ok || v.String() != "tcg: so (known from before)" {
		t.Errorf("got %v %v", v, ok)
	}
	for _, damage := range []string{"", "{", `{"accel":"hax"}`} {
		if err := os.WriteFile(path, []byte(damage), 0o644); err != nil {
			t.Fatal(err)
		}
		if v, ok := remembered(path); ok {
			t.Errorf("believes %q: %v", damage, v)
		}
	}
}

func TestTheOverride(t *testing.T) {
	t.Setenv(Env, TCG)
	if v, err := Probe(t.Context(), t.TempDir(), "/nowhere"); err != nil || v.Accel != TCG {
		t.Errorf("%v, %v", v, err)
	}
	t.Setenv(Env, "hax")
	if _, err := Probe(t.Context(), t.TempDir(), "/nowhere"); err == nil || !strings.Contains(err.Error(), `must be tcg or kvm`) {
		t.Error(err)
	}
}
