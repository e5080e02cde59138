// Package accel knows how fast this machine can run virtual machines: under KVM
// or by translation (TCG).
//
// It promises that KVM is chosen only where a kernel was seen to boot under it:
// a /dev/kvm that opens may still abort QEMU or hang the guest. The verdict is
// kept, with its reason, until QEMU, the host's kernel, the processor or
// /dev/kvm is another one. It needs a kernel to boot.
package accel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab/vm/args"
)

// Kinds of acceleration.
const (
	KVM = "kvm"
	TCG = "tcg"
)

// Env overrides the verdict.
const Env = "G8LAB_ACCEL"

// kvmWithin is what a boot may take under KVM: a second, ten on a busy machine.
const kvmWithin = 10 * time.Second

// Verdict says what is used, and why.
type Verdict struct {
	Accel  string  `json:"accel"`
	Reason string  `json:"reason"`
	Boot   float64 `json:"boot_seconds,omitzero"` // of the probe, if it booted
	Cached bool    `json:"-"`
}

func (v Verdict) String() string {
	text := v.Accel + ": " + v.Reason
	if v.Cached {
		text += " (known from before)"
	}
	return text
}

// Known reports whether Probe has its answer without booting anything.
func Known(ctx context.Context, cache string) bool {
	if os.Getenv(Env) != "" {
		return true
	}
	id, err := identity(ctx)
	if err != nil {
		return true // Probe says why not
	}
	_, ok := remembered(verdictFile(cache, id))
	return ok
}

func verdictFile(cache, id string) string { return filepath.Join(cache, "accel-"+id+".json") }

// Probe finds out, or remembers. cache is a directory.
func Probe(ctx context.Context, cache, image string) (Verdict, error) {
	switch forced := os.Getenv(Env); forced {
	case "":
	case KVM, TCG:
		return Verdict{Accel: forced, Reason: Env + " says so"}, nil
	default:
		return Verdict{}, fmt.Errorf("%s is %q, must be %s or %s", Env, forced, TCG, KVM)
	}
	id, err := identity(ctx)
	if err != nil {
		return Verdict{}, err
	}
	path := verdictFile(cache, id)
	if v, ok := remembered(path); ok {
		return v, nil
	}
	v, sure := probe(ctx, image)
	if err := ctx.Err(); err != nil {
		return Verdict{}, err
	}
	if sure {
		remember(path, v)
	}
	return v, nil
}

// probe tries KVM. sure is false for what may be otherwise the next time.
func probe(ctx context.Context, image string) (v Verdict, sure bool) {
	tcg := func(format string, a ...any) Verdict { return Verdict{Accel: TCG, Reason: fmt.Sprintf(format, a...)} }
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return tcg("no KVM (%v)", err), !errors.Is(err, os.ErrPermission)
	}
	_ = f.Close()
	took, err := Boot(ctx, KVM, image, kvmWithin)
	if err != nil {
		return tcg("/dev/kvm is there, but %v", oneLine(err)), true
	}
	return Verdict{Accel: KVM, Reason: fmt.Sprintf("a kernel booted under it in %.1f s", took.Seconds()), Boot: took.Seconds()}, true
}

func remembered(path string) (v Verdict, ok bool) {
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &v) != nil || v.Accel != KVM && v.Accel != TCG {
		return Verdict{}, false
	}
	v.Cached = true
	return v, true
}

// remember may fail: the next one probes again.
func remember(path string, v Verdict) {
	text, err := json.Marshal(v)
	if err != nil || os.MkdirAll(filepath.Dir(path), 0o755) != nil {
		return
	}
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if os.WriteFile(tmp, text, 0o644) == nil {
		_ = os.Rename(tmp, path)
	}
}

// identity is a hash of what the verdict depends on.
func identity(ctx context.Context) (string, error) {
	version, err := exec.CommandContext(ctx, args.Program, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w; install qemu-system-x86 (ci/install vm does it)", args.Program, err)
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	var st unix.Stat_t
	kvm := "none"
	if unix.Stat("/dev/kvm", &st) == nil {
		// Not its times: they change with every boot.
		kvm = fmt.Sprint(st.Rdev, st.Mode, st.Uid, st.Gid, os.Geteuid())
	}
	modules, _ := filepath.Glob("/sys/module/kvm*")
	h := sha256.New()
	fmt.Fprintln(h, string(version), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:]), cpu(), kvm, modules)
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// cpu is the processor's name and what it can do.
func cpu() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	first, _, _ := strings.Cut(string(text), "\n\n")
	var kept []string
	for line := range strings.Lines(first) {
		switch name, _, _ := strings.Cut(line, "\t"); name {
		case "model name", "flags", "stepping", "microcode":
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
