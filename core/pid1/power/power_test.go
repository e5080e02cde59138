package power

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
)

func TestEveryStepIsDoneInOrder(t *testing.T) {
	var did []Action
	var said bytes.Buffer
	beats := 0
	release := make(chan struct{})
	defer close(release)
	plan := Plan()
	for i := range plan {
		if plan[i].Limit <= 0 || plan[i].Limit > 45*time.Second { // a beat may be late by a minute
			t.Errorf("%q may take %v", plan[i].Action, plan[i].Limit)
		}
		plan[i].Limit = time.Minute
	}
	plan[2].Limit = -overtime // hangs, below
	perform(plan, func(_ context.Context, a Action) error {
		if a == TermAll {
			<-release
			return nil
		}
		did = append(did, a)
		if a == StopDaemon {
			return errors.New("it is stubborn")
		}
		return nil
	}, Hooks{Say: slog.New(slog.NewTextHandler(&said, nil)), Beat: func() { beats++ }})
	want := []Action{StopServices, StopDaemon, KillAll, Sync, UnmountFUSE, KillServers, EndLog, UnmountDisks, ReadOnly, Sync, Disarm}
	if !slices.Equal(did, want) || beats != len(plan) {
		t.Errorf("did %q, want %q; %d beats", did, want, beats)
	}
	for _, text := range []string{`could not stop g8os_core" error="it is stubborn`, `step="end the processes"`} {
		if !strings.Contains(said.String(), text) {
			t.Errorf("it did not say %q but\n%s", text, &said)
		}
	}
}

func TestTheVolumeIsClosedBeforeItsDaemonIsKilled(t *testing.T) {
	at := func(a Action) int { return slices.IndexFunc(Plan(), func(s Step) bool { return s.Action == a }) }
	order := []Action{TermAll, KillAll, UnmountFUSE, KillServers, EndLog, UnmountDisks, ReadOnly}
	if !slices.IsSortedFunc(order, func(a, b Action) int { return at(a) - at(b) }) {
		t.Errorf("%v", Plan())
	}
}

func TestTargets(t *testing.T) {
	all := []proc{{pid: 1}, {pid: 2, kernel: true}, {pid: 10}, {pid: 11, fuse: true}, {pid: 12, zombie: true}, {pid: 13}}
	if got := targets(all, false); !slices.Equal(got, []int{10, 13}) {
		t.Error(got)
	}
	if got := targets(all, true); !slices.Equal(got, []int{11}) {
		t.Error(got)
	}
}

func TestMounts(t *testing.T) {
	f, err := os.Open("testdata/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mounts, err := mountinfo.GetMountsFromReader(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ got, want []string }{
		"FUSE":     {unmounts(mounts, true), []string{"/mnt/etc"}},
		"others":   {unmounts(mounts, false), []string{"/sys/fs/fuse/connections", "/var/lib/docker/overlay2/x/merged", "/var/lib/docker", "/boot", "/var/log/g8os", "/etc/g8os", "/state"}},
		"writable": {writable(mounts), []string{"/var/lib/docker", "/var/log/g8os", "/etc/g8os", "/state"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q, want %q", what, c.got, c.want)
		}
	}
}

func TestProcessesOfThisMachine(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	all := processes()
	i := slices.IndexFunc(all, func(p proc) bool { return p.pid == cmd.Process.Pid })
	if i < 0 {
		t.Fatal("a process that runs is not seen")
	}
	if p := all[i]; p.kernel || p.fuse || p.zombie {
		t.Errorf("sleep is %+v", p)
	}
	for stat, want := range map[string]proc{
		"2 (kthreadd) S 0 0 0 0 -1 2129984 0": {pid: 7, kernel: true},
		"9 (a) b) (c) Z 1 9 9 0 -1 4227084 0": {pid: 7, zombie: true},
		"9 (sh) R 1 9 9 0 -1 4194304 0":       {pid: 7},
		"":                                    {pid: 7, zombie: true},
	} {
		if got := parse(7, stat); got != want {
			t.Errorf("%q: %+v", stat, got)
		}
	}
}

func TestServersOfFileSystemsAreKnown(t *testing.T) {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no FUSE on this machine: ", err)
	}
	defer f.Close()
	if !servesFUSE(os.Getpid()) {
		t.Error("a process with /dev/fuse open serves no file system")
	}
	f.Close()
	if servesFUSE(os.Getpid()) {
		t.Error("a process without it does")
	}
}

func TestAskRefusesAnotherInit(t *testing.T) {
	for kind := range signals {
		if err := Ask(kind); err == nil || !strings.Contains(err.Error(), string(kind)) {
			t.Fatalf("%v", err) // and the signal is sent to whatever is PID 1 here
		}
	}
}

func TestSignalsAreBusyboxes(t *testing.T) {
	for kind, s := range signals {
		if Signals[s] != kind {
			t.Errorf("%s sends %v, which means %s", kind, s, Signals[s])
		}
	}
}

func TestPanicIsReadableThenReboots(t *testing.T) {
	var out, said bytes.Buffer
	var order []string
	p := &Panic{
		Wait: 1100 * time.Millisecond, Out: &out, Say: slog.New(slog.NewTextHandler(&said, nil)),
		Log:    func(context.Context) error { order = append(order, "log"); return nil },
		Feed:   func() { order = append(order, "feed") },
		reboot: func() { order = append(order, "reboot") },
	}
	func() {
		defer p.Guard()
		mounts := unmounts(nil, false)
		t.Log(mounts[len(mounts)])
	}()
	if !slices.Equal(order, []string{"log", "feed", "feed", "reboot"}) {
		t.Errorf("%v", order)
	}
	for _, text := range []string{"panic of PID 1: runtime error: index out of range", "power_test.go:", "reboot in 1 s", "rebooting"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("the console lacks %q:\n%s", text, &out)
		}
	}
	if !strings.Contains(said.String(), "index out of range") || !strings.Contains(said.String(), "power_test.go:") {
		t.Errorf("the log has %s", &said)
	}
	func() {
		defer p.Guard() // and without a panic nothing happens
	}()
	if len(order) != 4 {
		t.Errorf("%v", order)
	}
}

func TestButtons(t *testing.T) {
	dir := t.TempDir()
	b := &Buttons{Dev: filepath.Join(dir, "dev"), Sys: filepath.Join(dir, "sys"), Rescan: time.Millisecond}
	os.Mkdir(b.Dev, 0o700)
	device := func(name, keys string) *os.File {
		caps := filepath.Join(b.Sys, name, "device/capabilities")
		os.MkdirAll(caps, 0o700)
		os.WriteFile(filepath.Join(caps, "key"), []byte(keys+"\n"), 0o600)
		if err := syscall.Mkfifo(filepath.Join(b.Dev, name), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(filepath.Join(b.Dev, name), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	mouse := device("event1", "70000 0 0 0 0")
	ctx, cancel := context.WithCancel(t.Context())
	pressed, done := make(chan struct{}, 9), make(chan struct{})
	go func() { defer close(done); b.Run(ctx, func() { pressed <- struct{}{} }) }()
	mouse.Write(event(eventKey, keyPower, 1))
	late := device("event5", "10000000000000 0") // plugged in later
	late.Write(event(eventKey, 30, 1))
	late.Write(event(eventKey, keyPower, 0))
	select {
	case <-pressed:
		t.Error("another key, another device or letting go is a press")
	case <-time.After(50 * time.Millisecond):
	}
	late.Write(event(eventKey, keyPower, 1))
	select {
	case <-pressed:
	case <-time.After(time.Minute):
		t.Error("a press is not seen")
	}
	cancel()
	<-done
}

func event(kind, code uint16, value uint32) []byte {
	e := binary.NativeEndian.AppendUint16(make([]byte, 16), kind)
	e = binary.NativeEndian.AppendUint16(e, code)
	return binary.NativeEndian.AppendUint32(e, value)
}

func TestHasKey(t *testing.T) {
	for bitmap, want := range map[string]bool{"10000000000000 0": true, "0": false, "": false, "x 0": false, "fffffffffffffffe ffffffffffffffff": true, "1 0 0": false} {
		if hasKey(bitmap, keyPower) != want {
			t.Errorf("%q: %v", bitmap, !want)
		}
	}
}
