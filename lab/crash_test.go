package lab_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/record"
	"github.com/g8os/g8os/lab/topology"
)

// crashEnv makes a copy of the test binary bring a lab up, for being killed.
const crashEnv = "LAB_TEST_UP"

func TestUpForCrash(t *testing.T) {
	name := os.Getenv(crashEnv)
	if name == "" {
		return // only means something as a child of TestKilledWhileComingUp
	}
	top := parse(t, strings.Replace(small, "count: 2", "count: 12", 1))
	_, err := lab.Up(t.Context(), top, lab.Options{Name: name, BinDir: os.Getenv("LAB_TEST_BIN"),
		Progress: func(line string) { println(line) }})
	if err != nil {
		t.Fatal(err)
	}
	println("up")
}

// Whenever the builder dies, down takes away what there is, and a second down
// finds nothing to do.
func TestKilledWhileComingUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	bin := standIns(t)
	for _, at := range []string{"switches", "controller and DHCP", "nodes", "up"} {
		for _, later := range []time.Duration{0, 30 * time.Millisecond, 150 * time.Millisecond} {
			t.Run(at+"+"+later.String(), func(t *testing.T) {
				name := name("crash")
				before := snapshot(t)
				killAt(t, ctx, name, bin, at, later)
				for range 2 {
					if err := lab.Down(ctx, name, lab.DownOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				before.compare(t, name)
			})
		}
	}
}

// killAt starts an up and kills it with SIGKILL a while after it has said what
// it is at.
func killAt(t *testing.T, ctx context.Context, name, bin, at string, later time.Duration) {
	t.Helper()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestUpForCrash$")
	cmd.Env = append(os.Environ(), crashEnv+"="+name, "LAB_TEST_BIN="+bin)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() && lines.Text() != at {
	}
	if lines.Text() != at {
		t.Errorf("it ended before it said %q: %q", at, lines.Text())
	}
	time.Sleep(later) // where exactly it is hit does not matter, only that it differs
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
}

// The lab survives the process that built it, and another one takes it over.
func TestBuilderGone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	name, bin := name("gone"), standIns(t)
	before := snapshot(t)
	killAt(t, ctx, name, bin, "up", 0)
	l, err := lab.Open(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.WaitManaged(ctx); err != nil {
		t.Error(err)
	}
	if n := len(processes(t, name)); n < 14 {
		t.Errorf("%d processes are found by the lab's name, want one a machine: the check for leftovers is blind", n)
	}
	if err := l.Down(ctx); err != nil {
		t.Fatal(err)
	}
	before.compare(t, name)
}

// Whatever of a lab is killed, the same up brings it back; and a lab of which
// nothing runs any more is taken down as if it ran.
func TestKilledUnderneath(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	l := up(t, ctx, small, name("dead")) // its cleanup compares the host with what it was
	if err := l.Segment("office").Cut(ctx, lab.Cut{From: "office-1", To: "office-2"}); err != nil {
		t.Fatal(err)
	}
	for what, of := range map[string]func(record.Event) bool{
		"everything": func(record.Event) bool { return true },
		"a switch":   func(e record.Event) bool { return e.Machine == "switch.office" },
		"its daemon": nil,
	} {
		t.Run(what, func(t *testing.T) {
			if of == nil {
				killDaemon(t, l.Name(), "ovs-vswitchd", "switch.office")
			} else {
				kill(t, ctx, l.Name(), of)
			}
			again, err := lab.Up(ctx, parse(t, small), lab.Options{Name: l.Name(), BinDir: standIns(t)})
			if err != nil {
				t.Fatal(err)
			}
			if err := again.WaitManaged(ctx); err != nil {
				t.Error(err)
			}
			ping(t, ctx, again.Node("office-1"), "192.168.7.2", true)
			ping(t, ctx, again.Node("office-1"), "192.168.7.11", false) // it is still cut
		})
	}
	kill(t, ctx, l.Name(), func(record.Event) bool { return true })
}

// kill ends machines of a lab, as somebody with kill -9 would.
func kill(t *testing.T, ctx context.Context, name string, which func(record.Event) bool) {
	t.Helper()
	events, err := record.Of(name).Journal()
	if err != nil {
		t.Fatal(err)
	}
	events = slices.DeleteFunc(events, func(e record.Event) bool { return !which(e) })
	if err := record.KillAll(ctx, record.Processes(events)); err != nil {
		t.Fatal(err)
	}
}

// killDaemon ends a program of one machine of a lab, by its process.
func killDaemon(t *testing.T, name, program, machine string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, _ := os.ReadFile(f)
		if argv := string(text); strings.HasPrefix(argv, program+"\x00") && strings.Contains(argv, "/"+name+"/m/"+machine+"/") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			for err == nil { // until its machine's init has noticed
				_, err = os.Stat(filepath.Dir(f))
			}
			return
		}
	}
	t.Fatalf("no %s runs in %s of lab %s", program, machine, name)
}

func TestTwoSideBySide(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	a := up(t, ctx, small, name("a"))
	b := up(t, ctx, small, name("b"))
	if a.AC("ac1").URL() == b.AC("ac1").URL() {
		t.Error("both ACs have one port")
	}
	if err := a.Down(ctx); err != nil {
		t.Fatal(err)
	}
	if !b.Status(ctx).Managed() {
		t.Error("the other lab went along")
	}
	if _, err := lab.Open(a.Name(), nil); !errors.Is(err, lab.ErrNoLab) {
		t.Errorf("open what is down: %v", err)
	}
}

func TestBusy(t *testing.T) {
	r := record.Of(name("busy"))
	if err := r.Lock(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Remove(); err != nil {
			t.Error(err)
		}
	}()
	_, err := lab.Up(t.Context(), parse(t, small), lab.Options{Name: r.Name, BinDir: standIns(t)})
	if !errors.Is(err, record.ErrBusy) {
		t.Errorf("got %v", err)
	}
}

// What cannot be is refused before anything is touched.
func TestRefusedBeforeAnything(t *testing.T) {
	busy, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	taken := busy.Addr().(*net.TCPAddr).Port
	full := parse(t, small)
	if err := full.Spread(2000); err != nil {
		t.Fatal(err)
	}
	name := name("none")
	before, bin := snapshot(t), standIns(t)
	for _, tt := range []struct {
		what string
		top  *topology.Topology
		opt  lab.Options
		want string
	}{
		{"full segment", full, lab.Options{}, "has no address left"},
		{"bad name", parse(t, small), lab.Options{Name: "NO"}, `lab name "NO": want`},
		{"no binaries", parse(t, small), lab.Options{BinDir: "/nonexistent"}, "make build makes them"},
		{"port taken", parse(t, small), lab.Options{BinDir: bin, Port: taken}, "address already in use; end what listens there"},
		{"no such port", parse(t, small), lab.Options{BinDir: bin, Port: 70000}, "want 1 to 65535"},
	} {
		if tt.opt.Name == "" {
			tt.opt.Name = name
		}
		tt.opt.Progress = func(line string) { t.Errorf("%s: it began: %s", tt.what, line) }
		_, err := lab.Up(t.Context(), tt.top, tt.opt)
		if err == nil || errors.Is(err, lab.ErrInPieces) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.what, err, tt.want)
		}
	}
	before.compare(t, name)
}

// A VM that could not be put together has no power: the next up tries again,
// and does not wait for a guest that will never be there.
func TestVMThatCannotBe(t *testing.T) {
	image, kernel := t.TempDir(), make([]byte, 1024) // as far as anybody looks before QEMU does
	copy(kernel[0x1fe:], "\x55\xaa\x00\x00HdrS")
	kernel[0x236] = 1
	for _, f := range []string{"vmlinuz", "initramfs"} {
		if err := os.WriteFile(filepath.Join(image, f), kernel, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("G8LAB_ACCEL", "tcg")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	before, name := snapshot(t), name("novm")
	top := parse(t, strings.Replace(small, "name: office, count: 2", "name: office, fidelity: vm, vm: {cold: true}", 1))
	for range 2 {
		_, err := lab.Up(ctx, top, lab.Options{Name: name, BinDir: standIns(t), Image: image})
		if !errors.Is(err, lab.ErrInPieces) || !strings.Contains(err.Error(), "QEMU ended at once: exit code 1") {
			t.Errorf("got %v", err)
		}
		l, err := lab.Open(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := l.Powered(); n != 0 {
			t.Errorf("%d nodes have power", n)
		}
	}
	if err := lab.Down(ctx, name, lab.DownOptions{}); err != nil {
		t.Fatal(err)
	}
	before.compare(t, name)
}
