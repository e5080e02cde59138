package machine

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// An init whose maker goes away before it sends the spec ends, having done nothing.
func TestAbandoned(t *testing.T) {
	ctx, dir := deadline(t), t.TempDir()
	mk, err := Create("t", "m", filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	if !mk.Proc.Alive() {
		t.Fatal("the init does not wait")
	}
	mk.Abandon()
	for mk.Proc.Alive() {
		if ctx.Err() != nil {
			t.Fatal("the init does not end")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func boot(t *testing.T) (*Machine, string) {
	t.Helper()
	ctx, dir := deadline(t), t.TempDir()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	mk, err := Create("t", "m", filepath.Join(dir, "init.log"), l)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mk.Boot(ctx, Spec{Lab: "t", Name: "m", Hostname: "host-m", Control: filepath.Join(dir, "control"), LogDir: dir,
		Forwards: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.PowerOff(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	return m, dir
}

func TestJobs(t *testing.T) {
	ctx := deadline(t)
	m, dir := boot(t)
	job := Job{Name: "j", Argv: []string{"sh", "-c", "hostname; echo $X; kill -9 $$"}, Env: []string{"X=y"}, Log: "j.log"}
	if err := m.Start(ctx, job); err != nil {
		t.Fatal(err)
	}
	st, err := m.Wait(ctx, "j")
	if err != nil || st.Code != 128+9 || st.Running {
		t.Errorf("%+v, %v", st, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "j.log")); err != nil || string(text) != "host-m\ny\n" {
		t.Errorf("log %q, %v", text, err)
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{m.Start(ctx, Job{Name: "x", Argv: []string{"no-such-program"}, Log: "x.log"}), `program "no-such-program" not found`},
		{m.Start(ctx, Job{Name: "x", Argv: []string{"true"}, Log: "../x.log"}), "escapes"},
		{m.Start(ctx, Job{Name: "x", Log: "x.log"}), "no command"},
		{m.Signal(ctx, "j", syscall.SIGTERM), "does not run"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("got %v, want %s", tt.err, tt.want)
		}
	}
}

// Orphans are reaped, a second job of the same name is refused while the first
// runs, and a power cut takes everything.
func TestOrphansAndPower(t *testing.T) {
	ctx := deadline(t)
	m, _ := boot(t)
	if err := m.Start(ctx, Job{Name: "j", Argv: []string{"sh", "-c", "(sleep 0.05 &) ; exec sleep 100"}, Log: "j.log"}); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(ctx, Job{Name: "j", Argv: []string{"true"}, Log: "j.log"}); err == nil || !strings.Contains(err.Error(), "already runs") {
		t.Errorf("second job: %v", err)
	}
	if err := m.PowerOff(ctx); err != nil {
		t.Fatal(err)
	}
	if m.Alive() {
		t.Error("it has power")
	}
	if _, err := m.Jobs(ctx); err == nil {
		t.Error("a machine without power answers")
	}
	if err := m.PowerOff(ctx); err != nil {
		t.Errorf("second power cut: %v", err)
	}
}
