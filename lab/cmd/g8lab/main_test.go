package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/record"
	"github.com/g8os/g8os/lab/topology"
)

// g8lab runs a command line and returns what it wrote.
func g8lab(t *testing.T, args ...string) (out, errs string, err error) {
	t.Helper()
	null, e := os.Open("/dev/null")
	if e != nil {
		t.Fatal(e)
	}
	defer null.Close()
	var o, x bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = run(ctx, args, streams{null, &o, &x})
	return o.String(), x.String(), err
}

func TestMistakesHaveARemedy(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("segments:\n  - {name: a, subnet: x}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.yaml") // a segment without addresses is never full
	if err := os.WriteFile(empty, []byte("segments: [{name: a}]\nacs: [{name: ac1, legs: [{segment: a}]}]\nnodes: [{name: n, nics: [{segment: a}]}]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	busy, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	taken, bin := strconv.Itoa(busy.Addr().(*net.TCPAddr).Port), fakeBinaries(t)
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no such lab", []string{"--lab", "nosuchlab", "status"}, "lab nosuchlab: the lab is not up; g8lab up brings it up"},
		{"bad name", []string{"--lab", "No", "up"}, `lab name "No": want 1 to 15 of a-z`},
		{"bad name to down", []string{"--lab", "../x", "down"}, `lab name "../x": want`},
		{"bad topology", []string{"--lab", "nosuchlab", "up", bad}, bad + `:2: segments[0].subnet: "x": want an IPv4 subnet`},
		{"no topology", []string{"up", "/nonexistent.yaml"}, "/nonexistent.yaml"},
		{"too many nodes", []string{"--lab", "nosuchlab", "up", "--nodes", "900"}, "segment office (192.168.7.10 to 192.168.7.250) has no address left for 59 of 300 nodes"},
		{"no binaries", []string{"--lab", "nosuchlab", "up", "--bin", "/nonexistent"}, "not found together in /nonexistent; make build makes them"},
		{"no nodes", []string{"--lab", "nosuchlab", "up", "--nodes", "0"}, "0 nodes: want 1 or more"},
		{"no time", []string{"--lab", "nosuchlab", "up", "--timeout", "0s"}, "--timeout 0s: want more than 0"},
		{"too little memory", []string{"--lab", "nosuchlab", "up", empty, "--nodes", "90000"}, "nodes would fit (--nodes "},
		{"port taken", []string{"--lab", "nosuchlab", "up", "--bin", bin, "--port", taken}, "address already in use; end what listens there"},
		{"no command", []string{"fly"}, "g8lab --help explains"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, errs, err := g8lab(t, tt.args...)
			if out+errs != "" {
				t.Errorf("before it was refused it said %s%s", out, errs)
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	if names, err := lab.List(); err != nil || strings.Contains(strings.Join(names, " "), "nosuchlab") {
		t.Errorf("something was made: %v, %v", names, err)
	}
}

// fakeBinaries are enough for a lab to look complete.
func fakeBinaries(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"g8os_core", "g8os_ac", "gocryptfs"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/false\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReport(t *testing.T) {
	var many []error
	for i := range 30 {
		many = append(many, fmt.Errorf("mistake %d", i))
	}
	notThere := notRun(fmt.Errorf("in machine n: %w", machine.ErrNoProgram))
	for _, tt := range []struct {
		name string
		err  error
		code int
		want string // the end of what is said
	}{
		{"nothing", nil, 0, ""},
		{"a command's code", exitCode(7), 7, ""},
		{"many lines", errors.Join(many...), 1, "g8lab: mistake 9\ng8lab: … and 20 more\n"},
		{"a remedy", remedied{interruption{errors.New("half up")}, []string{"down"}}, 130, "g8lab: interrupted; half up\n       → down\n"},
		{"no program", notThere, 127, "g8lab: in machine n: not found\n"},
		{"no node", notRun(errors.New("no power")), 255, "g8lab: no power\n"},
		{"usage", exitError{exitUsage, errors.New("what?")}, 2, "g8lab: what?\n"},
	} {
		var b bytes.Buffer
		if code := report(&b, tt.err); code != tt.code || !strings.HasSuffix(b.String(), tt.want) || strings.Count(b.String(), "\n") > 11 {
			t.Errorf("%s: exit code %d, want %d\n%s", tt.name, code, tt.code, b.String())
		}
	}
}

// Whatever happened to an up, one knows what is there and how to go on.
func TestWhatRemains(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	u, c := &upCmd{}, &cli{Lab: "x"}
	half := fmt.Errorf("lab x %w: no power", lab.ErrInPieces)
	for _, tt := range []struct {
		err         error
		interrupted bool
		code        int
		want        string
	}{
		{errors.New("port taken"), false, 1, "g8lab: port taken\n"},
		{half, false, 1, "→ bin/g8lab --lab x down takes it away"},
		{half, true, 130, "g8lab: interrupted; lab x is up in part\n       → the same up again goes on from there"},
	} {
		if tt.interrupted {
			cancel()
		}
		var b bytes.Buffer
		if code := report(&b, u.remains(ctx, c, tt.err)); code != tt.code || !strings.Contains(b.String(), tt.want) {
			t.Errorf("exit code %d, %s; want %d, %s", code, b.String(), tt.code, tt.want)
		}
	}
	cancel()
}

// Somebody who is not root is told so, not that all nodes are down.
func TestNotRoot(t *testing.T) {
	if os.Getenv("G8LAB_TEST_AS_NOBODY") != "" {
		_, _, err := g8lab(t, "--lab", os.Getenv("G8LAB_TEST_AS_NOBODY"), "status")
		if err == nil || !strings.Contains(err.Error(), "is root's; run it as root (sudo)") {
			t.Errorf("got %v", err)
		}
		return
	}
	name := fmt.Sprintf("t%d-root", os.Getpid())
	r := record.Of(name)
	defer func() {
		if err := lab.Down(context.WithoutCancel(t.Context()), name, lab.DownOptions{}); err != nil {
			t.Error(err)
		}
	}()
	if err := r.Create(); err != nil {
		t.Fatal(err)
	}
	if err := r.Save("lab.json", map[string]any{"plan": topology.Plan{Lab: name}}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copyOfTest(t), "-test.run=^TestNotRoot$")
	cmd.Env = append(os.Environ(), "G8LAB_TEST_AS_NOBODY="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// copyOfTest is this test's program where anybody can run it.
func copyOfTest(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "g8lab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "test")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, text, 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

// Who waits for a lab that somebody takes down is not left waiting.
func TestTakenDownWhileClimbing(t *testing.T) {
	name := fmt.Sprintf("t%d-gone", os.Getpid())
	r := record.Of(name)
	if err := r.Create(); err != nil {
		t.Fatal(err)
	}
	node := topology.Machine{Name: "n", Ports: []topology.Port{{NIC: "eth0", Segment: "a", MAC: "02:00:00:00:00:01"}}}
	if err := r.Save("lab.json", map[string]any{"plan": topology.Plan{Lab: name, Nodes: []topology.Machine{node}}}); err != nil {
		t.Fatal(err)
	}
	l, err := lab.Open(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		climb(t.Context(), l, io.Discard, time.Now())
	}()
	if err := lab.Down(t.Context(), name, lab.DownOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("it still waits")
	}
}

func TestDownOfNothing(t *testing.T) {
	if out, _, err := g8lab(t, "--lab", "nosuchlab", "down"); err != nil || !strings.Contains(out, "lab nosuchlab was not up") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestExecWithoutALab(t *testing.T) {
	_, _, err := g8lab(t, "--lab", "nosuchlab", "exec", "n", "--", "true")
	if !errors.Is(err, lab.ErrNoLab) {
		t.Errorf("got %v", err)
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	rows := []lab.Row{
		{Name: "a-1", MAC: "02:00:00:00:00:01", Segment: "a", Phase: "managed", Way: "dhcp", Address: "10.0.0.2/24", Controller: "https://10.0.0.1:8966", ManagedAfterMS: 1234},
		{Name: "b-1", MAC: "02:00:00:00:00:02", Segment: "b", Phase: "off"},
	}
	rows[1].Status.WaitsFor = "power"
	if err := printTable(&b, rows, true); err != nil {
		t.Fatal(err)
	}
	want := `NODE  MAC                SEGMENT  PHASE    WAY   ADDRESS      CONTROLLER             TOOK  WAITS FOR
a-1   02:00:00:00:00:01  a        managed  dhcp  10.0.0.2/24  https://10.0.0.1:8966  1.2s  -
b-1   02:00:00:00:00:02  b        off      -     -            -                      -     power
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// A node that goes up and down again and again is not worth a line each time.
func TestLinesWorthPrinting(t *testing.T) {
	l, at := newLines(1), time.Unix(0, 0)
	steps := []struct {
		after time.Duration
		phase string
		want  bool
	}{
		{0, "network", true}, {0, "unlock", true}, {time.Second, "network", false}, {0, "unlock", false},
		{0, "secure", true}, {11 * time.Second, "network", true}, {0, "unlock", false}, {0, "managed", true},
	}
	for i, s := range steps {
		at = at.Add(s.after)
		if got := l.worth(0, s.phase, at); got != s.want {
			t.Errorf("step %d, %s: got %v", i, s.phase, got)
		}
	}
}

func TestBlockDrawsOver(t *testing.T) {
	var b bytes.Buffer
	live := &block{w: &b}
	live.draw([]string{"one", "two"})
	live.draw([]string{strings.Repeat("x", 200)})
	want := "\r\x1b[2Kone\n\r\x1b[2Ktwo\n\x1b[2A\r\x1b[2K" + strings.Repeat("x", 79) + "\n"
	if b.String() != want {
		t.Errorf("got %q", b.String())
	}
}
