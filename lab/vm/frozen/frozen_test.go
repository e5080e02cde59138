package frozen

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/internal/qmp"
	"github.com/g8os/g8os/lab/vm/args"
	"github.com/g8os/g8os/lab/vm/transient"
)

// build is the library as make builds it.
func build(t *testing.T) string {
	t.Helper()
	const root = "../../.."
	if out, err := exec.Command("make", "-s", "-C", root, "bin/"+Name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	path := Library(filepath.Join(root, "bin"))
	if path == "" {
		t.Fatal("there is no C compiler: ci/install test installs one")
	}
	return path
}

// machine is a QEMU that stands still before its first instruction.
func machine(dir string) args.Spec {
	return args.Spec{Name: "m", Dir: args.Dir(dir), Log: filepath.Join(dir, "log"), Accel: "tcg", MemoryMiB: 64,
		Memory: args.Memory{File: filepath.Join(dir, "memory"), Shared: true},
		Kernel: &args.Kernel{Image: "/dev/null", Initrd: "/dev/null"}}
}

// words leaves out the kernel, which QEMU would want to read.
func words(s args.Spec) []string {
	var kept []string
	all := s.Args()
	for i := 0; i < len(all); i++ {
		switch all[i] {
		case "-kernel", "-initrd", "-append":
			i++
		default:
			kept = append(kept, all[i])
		}
	}
	return kept
}

func run(t *testing.T, argv []string) *transient.VM {
	t.Helper()
	vm, err := transient.Start(argv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vm.Close() })
	return vm
}

// dial waits for the monitor.
func dial(t *testing.T, vm *transient.VM, dir string) *qmp.Conn {
	t.Helper()
	for range 500 {
		mon, err := qmp.Dial(t.Context(), args.Dir(dir).Commands())
		if err == nil {
			return mon
		}
		select {
		case <-vm.Ended():
			t.Fatal(vm.Err(), vm.Said())
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatal("QEMU does not answer")
	return nil
}

func status(t *testing.T, mon *qmp.Conn) string {
	t.Helper()
	var s struct {
		Status string `json:"status"`
	}
	if err := mon.Run(t.Context(), "query-status", nil, &s); err != nil {
		t.Fatal(err)
	}
	return s.Status
}

// files are those of a clone in dir of the machine in from.
func files(from, dir string) map[string]string {
	all := map[string]string{"memory": filepath.Join(from, "memory"), "log": filepath.Join(dir, "log")}
	for _, path := range args.Dir(dir).Sockets() {
		all[filepath.Base(path)] = path
	}
	return all
}

// freeze makes an image, and leaves its machine running.
func freeze(t *testing.T, library string) (dir, image string, vm *transient.VM) {
	t.Helper()
	dir = t.TempDir()
	image = filepath.Join(dir, "frozen")
	vm = run(t, Recording(library, image, words(machine(dir))))
	_ = dial(t, vm, dir).Close()
	if err := Write(t.Context(), vm.PID(), image); err != nil {
		t.Fatal(err)
	}
	return dir, image, vm
}

func TestTwoBecomeOne(t *testing.T) {
	library := build(t)
	from, image, first := freeze(t, library)
	original := dial(t, first, from)
	if got := status(t, original); got != "prelaunch" {
		t.Errorf("who was written down is %s", got)
	}
	for range 2 {
		dir := t.TempDir()
		s := machine(dir)
		s.Name = "clone"
		vm := run(t, Becoming(library, image, files(from, dir), words(s)))
		mon := dial(t, vm, dir)
		if got := status(t, mon); got != "prelaunch" {
			t.Errorf("a clone is %s", got)
		}
		if err := mon.Run(t.Context(), "cont", nil, nil); err != nil {
			t.Error(err)
		}
		if got := status(t, mon); got != "running" {
			t.Errorf("a clone that was let go is %s", got)
		}
		if line, _ := os.ReadFile(filepath.Join("/proc", pid(vm), "cmdline")); !strings.Contains(string(line), "-name\x00clone,") {
			t.Errorf("its command line is not its own: %q", line)
		}
		if _, err := os.Stat(filepath.Join(dir, "log")); err != nil {
			t.Error(err)
		}
	}
	if got := status(t, original); got != "prelaunch" {
		t.Errorf("who was written down is %s after its clones went on", got)
	}
}

func TestWhatIsRefused(t *testing.T) {
	library := build(t)
	from, image, _ := freeze(t, library)
	cut := func(n int64) string {
		path := filepath.Join(t.TempDir(), "cut")
		text, err := os.ReadFile(image)
		if err = errors.Join(err, os.WriteFile(path, text[:n], 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for want, c := range map[string]struct{ library, image string }{
		"No such file":                       {library, image + ".none"},
		"too short":                          {library, cut(100)},
		"is another one than the template":   {longer(t, library), image},
		"not an image":                       {library, zeros(t)},
		"QEMU ended: exit status 97: frozen": {library, image + ".none"},
	} {
		dir := t.TempDir()
		vm := run(t, Becoming(c.library, c.image, files(from, dir), words(machine(dir))))
		select {
		case <-vm.Ended():
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: it goes on", want)
		}
		if err := vm.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// A machine with somebody connected to it cannot be written down. It says so, and
// goes on; once he has left it can.
func TestWhatWasTranslatedIsForgotten(t *testing.T) {
	dir := t.TempDir()
	vm := run(t, Recording(build(t), filepath.Join(dir, "frozen"), words(machine(dir))))
	mon := dial(t, vm, dir)
	if err := mon.Run(t.Context(), "cont", nil, nil); err != nil {
		t.Fatal(err)
	}
	flushes := func() (n int) {
		var text string
		if err := mon.Run(t.Context(), "human-monitor-command", map[string]any{"command-line": "info jit"}, &text); err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(text, "TB flush count")
		if _, err := fmt.Sscan(after, &n); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		return n
	}
	before := flushes()
	if err := Forget(vm.PID()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); flushes() == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing was forgotten")
		}
	}
}

func TestWhoIsConnectedIsInTheWay(t *testing.T) {
	dir := t.TempDir()
	image := filepath.Join(dir, "frozen")
	vm := run(t, Recording(build(t), image, words(machine(dir))))
	mon := dial(t, vm, dir)
	if err := Write(t.Context(), vm.PID(), image); err == nil || !strings.Contains(err.Error(), "cannot be kept") {
		t.Errorf("written down with a connection: %v", err)
	}
	if got := status(t, mon); got != "prelaunch" {
		t.Errorf("it is %s", got)
	}
	_ = mon.Close()
	if err := Write(t.Context(), vm.PID(), image); err != nil {
		t.Error(err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	cmd := exec.Command("sleep", "60") // has no such loop, and dies of the signal
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := Write(ctx, cmd.Process.Pid, filepath.Join(t.TempDir(), "frozen")); err == nil {
		t.Error("an image came from nowhere")
	}
}

// longer is a library that does the same, and is not the same.
func longer(t *testing.T, library string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), Name)
	text, err := os.ReadFile(library)
	if err = errors.Join(err, os.WriteFile(path, append(text, 0), 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

func pid(vm *transient.VM) string { return strconv.Itoa(vm.PID()) }

func zeros(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "zeros")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 8<<20)); err != nil {
		t.Fatal(err)
	}
	return path
}
