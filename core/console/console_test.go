package console

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/console/screen"
	"github.com/g8os/g8os/core/local"
)

// start runs the consoles named, in a folder of their own.
func start(t *testing.T, names string, facts func() screen.Facts) (dir, socket string) {
	t.Helper()
	dir = t.TempDir()
	active := filepath.Join(dir, "active")
	if err := os.WriteFile(active, []byte(names+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tty1", "ttyS0"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "ttyS9"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "core.sock")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		New(Options{Facts: facts, Socket: socket, Active: active, Devices: dir, Log: slog.New(slog.DiscardHandler)}).Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return dir, socket
}

func waitText(t *testing.T, path, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		raw, _ := os.ReadFile(path)
		if strings.Contains(string(raw), text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s never said %q; it said\n%s", filepath.Base(path), text, raw)
		}
	}
}

// serve is a g8os_core with a status, until the returned function is called.
func serve(t *testing.T, socket string, s api.Status) (*local.Board, func()) {
	t.Helper()
	l, err := local.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	board := local.NewBoard(s)
	go func() { defer close(done); _ = local.Serve(ctx, l, board, local.Does{Reload: func() {}}) }()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return board, stop
}

func TestConsolesFollowTheDaemonThroughARestart(t *testing.T) {
	facts := func() screen.Facts { return screen.Facts{Hostname: "n1"} }
	dir, socket := start(t, "tty0 ttyS0", facts)
	line := filepath.Join(dir, "ttyS0")
	waitText(t, line, "is starting")
	board, stop := serve(t, socket, api.Status{Phase: "network", WaitsFor: "a DHCP lease", Since: time.Now()})
	waitText(t, line, "waits for a DHCP lease")
	board.Show(api.Status{Phase: "unlock", WaitsFor: "the AC", Since: time.Now()})
	waitText(t, line, "[UNLOCK]")
	waitText(t, filepath.Join(dir, "tty1"), home)
	waitText(t, filepath.Join(dir, "tty1"), "[UNLOCK]")
	stop()
	waitText(t, line, "does not answer")
	serve(t, socket, api.Status{Phase: "managed", Since: time.Now()})
	waitText(t, line, "[MANAGED]")
	raw, _ := os.ReadFile(line)
	if strings.Contains(string(raw), "\x1b") {
		t.Errorf("an escape sequence on a serial line: %q", raw)
	}
}

func TestAConsoleNobodyReadsHoldsUpNobody(t *testing.T) {
	dir, _ := start(t, "", nil)                                      // only for the folder
	r, err := os.OpenFile(filepath.Join(dir, "ttyS9"), os.O_RDWR, 0) // so that it can be opened, and is never read
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Write(make([]byte, 64<<10)); err != nil { // full
		t.Fatal(err)
	}
	active := filepath.Join(dir, "both")
	os.WriteFile(active, []byte("ttyS9 ttyS0 ttyS7\n"), 0o600)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		New(Options{Facts: func() screen.Facts { return screen.Facts{Hostname: "n1"} }, Socket: "/nowhere", Active: active, Devices: dir, Log: slog.New(slog.DiscardHandler)}).Run(ctx)
	}()
	waitText(t, filepath.Join(dir, "ttyS0"), "n1")
	cancel()
	select {
	case <-ended:
	case <-time.After(writeLimit + time.Minute):
		t.Fatal("the full console holds up the end")
	}
}

func TestWaitingIsMeasuredByUptime(t *testing.T) {
	var s stopwatch
	boot1970 := time.Unix(100, 0)
	s.note(boot1970, boot1970.Add(2*time.Second), 20*time.Second)
	if got := s.elapsed(25 * time.Second); got != 7*time.Second {
		t.Errorf("2 s before, 5 s later: %v", got)
	}
	s.note(boot1970, time.Unix(1.8e9, 0), 30*time.Second) // the clock was set
	if got := s.elapsed(31 * time.Second); got != 13*time.Second {
		t.Errorf("after the clock was set: %v", got)
	}
	s.note(time.Unix(50, 0), time.Unix(1.8e9, 0), 40*time.Second) // said by a daemon with the old clock
	if got := s.elapsed(41 * time.Second); got != time.Second {
		t.Errorf("a moment that cannot be: %v", got)
	}
}

func TestWhichConsolesAreScreens(t *testing.T) {
	for name, want := range map[string]bool{"tty0": true, "tty7": true, "ttyS0": false, "ttyAMA0": false, "hvc0": false, "tty": false} {
		if isScreen(name) != want {
			t.Errorf("%s: %v", name, isScreen(name))
		}
	}
}

func TestThisMachinesFacts(t *testing.T) {
	var f screen.Facts
	fill(&f)
	if f.Hostname == "" || f.Kernel == "" || f.Uptime <= 0 || f.Cards == nil {
		t.Errorf("%+v", f)
	}
	for _, c := range f.Cards {
		if ifi, err := net.InterfaceByName(c.Name); err != nil || ifi.Flags&net.FlagLoopback != 0 {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
