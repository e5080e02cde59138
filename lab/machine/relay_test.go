package machine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/g8os/g8os/core/guest"
	"github.com/g8os/g8os/core/local"
)

// virtual is a guest without a machine around it, behind a socket like QEMU's.
type virtual struct {
	t    *testing.T
	path string
	over func() // the power cut

	mu   sync.Mutex
	held bool
	took []guest.Go
}

func (v *virtual) isHeld() bool { v.mu.Lock(); defer v.mu.Unlock(); return v.held }

func (v *virtual) take(_ context.Context, g guest.Go) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if g.Hostname == "bad" {
		return errors.New("no such name")
	}
	v.held, v.took = false, append(v.took, g)
	if g.Hostname == "late" { // as the guest answers to a go that was given up and tried again
		return errors.New("the machine is not held: it has gone on already")
	}
	return nil
}

// power boots the guest.
func (v *virtual) power(held bool) {
	v.t.Helper()
	_ = os.Remove(v.path)
	l, err := net.Listen("unix", v.path)
	if err != nil {
		v.t.Fatal(err)
	}
	v.mu.Lock()
	v.held = held
	v.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = guest.Serve(ctx, guest.Options{Held: v.isHeld, Go: v.take, Open: func(context.Context) (guest.Channel, error) {
			c, err := l.Accept()
			if err != nil {
				return nil, err
			}
			return c.(*net.UnixConn), nil
		}})
	}()
	v.over = func() { cancel(); _ = l.Close(); <-ended }
}

// holder boots a machine that holds a virtual one.
func holder(t *testing.T) (*Machine, *virtual, Relay) {
	t.Helper()
	ctx, dir := deadline(t), t.TempDir()
	r := Relay{Channel: filepath.Join(dir, "channel"), Core: filepath.Join(dir, "core.sock"), Exec: filepath.Join(dir, "guest")}
	mk, err := Create("t", "m", filepath.Join(dir, "init.log"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := mk.Boot(ctx, Spec{Lab: "t", Name: "m", Hostname: "m", Control: filepath.Join(dir, "control"), LogDir: dir, Relay: &r})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.PowerOff(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	v := &virtual{t: t, path: r.Channel}
	t.Cleanup(func() { v.over() })
	return m, v, r
}

// inGuest runs a command as g8lab exec does.
func inGuest(t *testing.T, r Relay, in string, argv ...string) (code int, out, errs string) {
	t.Helper()
	cmd, err := GuestCommand(r.Exec, argv, false)
	if err != nil {
		t.Fatal(err)
	}
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &o, &e
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

func TestRelay(t *testing.T) {
	ctx := deadline(t)
	m, v, r := holder(t)
	v.power(true)
	err := m.Release(ctx, Release{Hostname: "bad"})
	if err == nil || !strings.Contains(err.Error(), "no such name") || !v.isHeld() {
		t.Fatalf("got %v, want what the guest said", err)
	}
	for range 2 { // the second finds it free
		if err := m.Release(ctx, Release{Hostname: "n1"}); err != nil || v.isHeld() {
			t.Fatalf("%v, held %v", err, v.isHeld())
		}
	}
	if len(v.took) != 1 || v.took[0].Hostname != "n1" || len(v.took[0].Entropy) < 32 || v.took[0].Time.IsZero() {
		t.Errorf("it was told %+v", v.took)
	}
	for _, tt := range []struct {
		script, in, out, errs string
		code                  int
	}{
		{"cat; echo e >&2; exit 3", "text", "text", "e\n", 3},
		{"kill -9 $$", "", "", "", 128 + 9},
	} {
		code, out, errs := inGuest(t, r, tt.in, "sh", "-c", tt.script)
		if code != tt.code || out != tt.out || errs != tt.errs {
			t.Errorf("%s: got %d, %q, %q", tt.script, code, out, errs)
		}
	}
	if code, _, errs := inGuest(t, r, "", "no-such-program"); code != 127 || !strings.Contains(errs, "not found") {
		t.Errorf("got %d, %q", code, errs)
	}
}

// A guest that went on, though its answer got lost, is no failure.
func TestReleaseOfOneThatWentOn(t *testing.T) {
	ctx := deadline(t)
	m, v, _ := holder(t)
	v.power(true)
	if err := m.Release(ctx, Release{Hostname: "late"}); err != nil || v.isHeld() {
		t.Fatalf("%v, held %v", err, v.isHeld())
	}
}

// A guest that boots again, by a QEMU that was started again, is let go again;
// what ran in the old one has ended.
func TestRelayOutlivesItsGuest(t *testing.T) {
	ctx := deadline(t)
	m, v, r := holder(t)
	v.power(false)
	if err := m.Release(ctx, Release{Hostname: "n1"}); err != nil || len(v.took) != 0 {
		t.Fatalf("%v; it was told %+v and was not held", err, v.took)
	}
	cmd, err := GuestCommand(r.Exec, []string{"sh", "-c", "echo begun; exec sleep 1000"}, false)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("begun\n"))); err != nil {
		t.Fatal(err)
	}
	v.over()
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != codeNotRun {
		t.Errorf("the command ended with %v", err)
	}
	v.power(true)
	if err := m.Release(ctx, Release{Hostname: "n2"}); err != nil || v.isHeld() {
		t.Fatalf("%v, held %v", err, v.isHeld())
	}
	if code, out, errs := inGuest(t, r, "", "echo", "again"); code != 0 || out != "again\n" {
		t.Errorf("got %d, %q, %q", code, out, errs)
	}
}

// Where g8os_core does not run, its socket answers nothing, and says so.
func TestRelayWithoutCore(t *testing.T) {
	ctx := deadline(t)
	m, v, r := holder(t)
	if _, err := (local.Client{Path: r.Core}).Status(ctx); err == nil {
		t.Error("a guest that is not there has a status")
	}
	v.power(false)
	if err := m.Release(ctx, Release{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(local.Socket); err == nil {
		return // one runs here
	}
	if _, err := (local.Client{Path: r.Core}).Status(ctx); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("got %v", err)
	}
}
