package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/internal/testenv"
	"github.com/g8os/g8os/core/monitor/measure"
)

// web is a machine that was made by hand, down to what is damaged or has gone.
var web = Paths{Proc: "testdata/web/proc", Sys: "testdata/web/sys", Cards: func() []string { return []string{"eth0"} }}

func TestSample(t *testing.T) {
	r, err := NewReader(web)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Full()
	if err != nil { // a mount that has gone is nothing to be said
		t.Error(err)
	}
	if s.CPUBusy != 15.6 || s.CPUAll != 100.6 || s.Cores != 2 || s.Load1 != 1.5 || s.Processes != 3 {
		t.Errorf("processors: %+v", s)
	}
	if s.MemTotal != 2048000<<10 || s.MemUsed != 512000<<10 || s.Swap != 512000<<10 || s.SwapUsed != 256000<<10 {
		t.Errorf("memory: %+v", s)
	}
	if s.Nets["eth0"] != (measure.Net{In: 4000, Out: 500, Card: true}) || s.Nets["veth1"].Card || len(s.Nets) != 3 {
		t.Errorf("networks: %+v", s.Nets)
	}
	if len(s.Disks) != 1 || s.Disks["sda"] != (measure.Disk{Read: 2000 * 512, Written: 1000 * 512, BusyMS: 333}) {
		t.Errorf("disks: %+v", s.Disks)
	}
	if len(s.Temperatures) != 2 || s.Temperatures["x86_pkg_temp"] != 45.5 || s.Temperatures["nvme"] != 61 {
		t.Errorf("temperatures: %+v", s.Temperatures)
	}
	if paths := mountPaths(s); !strings.HasPrefix(paths, "/ ") || strings.Contains(paths, "/mnt/etc") {
		t.Errorf("file systems: %s", paths)
	}
}

func mountPaths(s measure.Sample) string {
	var b strings.Builder
	for _, f := range s.FileSystems {
		b.WriteString(f.Path + " ")
	}
	return b.String()
}

func TestProcesses(t *testing.T) {
	r, err := NewReader(web)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := r.Full()
	if len(s.Procs) != 2 {
		t.Fatalf("%+v", s.Procs)
	}
	byPID := map[int]measure.Process{}
	for _, p := range s.Procs {
		byPID[p.PID] = p
	}
	if p := byPID[1]; p.Name != "g8os_core" || p.CPU != 1.5 || p.Threads != 8 || p.Started != 5 || p.Group != "/init.scope" || p.Memory != int64(2560*os.Getpagesize()) {
		t.Errorf("%+v", p)
	}
	if p := byPID[42]; p.Name != "evil ) R name" || p.CPU != 30 || p.State != "R" || p.Group != "/system.slice/web.service" {
		t.Errorf("%+v", p)
	}
	if g := s.Groups["/system.slice/web.service"]; len(s.Groups) != 1 || g != (measure.Group{CPU: 31, Memory: 1234567}) {
		t.Errorf("groups: %+v", s.Groups)
	}
}

func TestFacts(t *testing.T) {
	f, err := FactsOf(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	if f.TPM != "2.0" || f.Machine != (api.MachineFacts{Vendor: "Example Inc", Product: "Box 9", Firmware: "ACME", Boots: "uefi"}) || f.Boot.Unix() != 1700000000 {
		t.Errorf("%+v", f)
	}
	if c := f.CPU; c.Model != "Example CPU @ 2.00GHz" || c.Sockets != 1 || c.Cores != 1 || c.Threads != 2 || c.Virtualization != "vmx" || !c.Hypervisor || strings.Join(c.Flags, " ") != "vmx hypervisor aes avx2" {
		t.Errorf("%+v", c)
	}
	if len(f.Disks) != 1 || f.Disks[0] != (api.DiskFacts{Name: "sda", Model: "ATA Spinner 1T", Size: 2000000 * 512, Rotational: true}) {
		t.Errorf("%+v", f.Disks)
	}
	if f.Versions["core"] == "" || f.Kernel == "" || f.Hostname == "" || f.Disks == nil || f.NICs == nil {
		t.Errorf("%+v", f)
	}
}

// A machine of which nothing can be read is still there.
func TestNothingToRead(t *testing.T) {
	empty := Paths{Proc: t.TempDir(), Sys: t.TempDir(), State: "/nowhere"}
	r, err := NewReader(empty)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := r.Full(); err == nil || s.Processes != 0 || s.MemTotal != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := NewReader(Paths{Proc: "/nowhere"}); err == nil {
		t.Error("a folder that is not there is taken")
	}
	if err := Top(t.Context(), empty, api.TopArgs{}, nil, nil); err == nil {
		t.Error("top of nothing")
	}
}

func TestTopArguments(t *testing.T) {
	for _, bad := range []api.TopArgs{{IntervalMS: -1}, {IntervalMS: 1 << 40}, {Limit: -1}, {Limit: 1 << 20}} {
		if err := Top(t.Context(), web, bad, nil, nil); !errors.Is(err, ErrArgs) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	var tops []api.Top
	ctx, cancel := context.WithCancel(t.Context())
	err := Top(ctx, Paths{}, api.TopArgs{IntervalMS: 1, Follow: true, Limit: 3}, func(m *api.Metrics) { m.Jobs = 7 }, func(now api.Top) error {
		if tops = append(tops, now); len(tops) == 2 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(tops) != 2 || len(tops[1].Processes) != 3 || tops[1].Metrics.Jobs != 7 || tops[1].OverMS < 50 {
		t.Errorf("%v, %+v", err, tops)
	}
}

// The rules are read when their file comes, changes and goes; a wrong one
// changes nothing and is said once.
func TestRulesFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "alarms.toml")
	var notes []string
	m := New(Options{Paths: web, Rules: file, Log: slog.New(slog.DiscardHandler), Note: func(level int, source, text string, _ json.RawMessage) { notes = append(notes, source+" "+text) }})
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.look()
	if m.Metrics() == nil || len(notes) != 0 {
		t.Fatalf("%+v, %q", m.Metrics(), notes)
	}
	write("[hot]\nmeasure = \"temperature\"\non = \"nvme\"\nabove = 60\nfor = \"0s\"\n")
	m.look()
	m.look()
	if want := "alarm:hot temperature nvme: 61 °C, at or above 60 °C"; len(notes) != 1 || notes[0] != want || m.Metrics().Alarms != 1 {
		t.Errorf("%q, want %q; %d raised", notes, want, m.Metrics().Alarms)
	}
	write("[hot]\nmeasure = \"temperature\"\nabove = \"x\"\n")
	m.look()
	m.look()
	if len(notes) != 2 || !strings.Contains(notes[1], file+":3: hot.above: ") || m.Metrics().Alarms != 1 {
		t.Errorf("%q", notes)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	m.look()
	if len(notes) != 3 || notes[2] != "alarm:hot temperature nvme: not watched any more" || m.Metrics().Alarms != 0 {
		t.Errorf("%q", notes)
	}
}

func TestRunEnds(t *testing.T) {
	m := New(Options{Every: time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { m.Run(ctx); close(done) }()
	for m.Metrics() == nil || m.Metrics().NetInRate < 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
}

// A program of Go is not run for its version: that it is one is written in it.
func TestVersionsOfPrograms(t *testing.T) {
	said := filepath.Join(t.TempDir(), "says")
	if err := os.WriteFile(said, []byte("#!/bin/sh\necho program 1.2.3-rc1, and more\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := versionOf(t.Context(), said, "--version"); got != "1.2.3-rc1" {
		t.Errorf("one that says it: %q", got)
	}
	self, err := os.Executable() // has no version, and is not asked in vain: it fails
	if err != nil {
		t.Fatal(err)
	}
	if got := versionOf(t.Context(), self, "-no-such-flag"); got != "" {
		t.Errorf("one without: %q", got)
	}
	tool := testenv.Gocryptfs(t)
	written := versionOf(t.Context(), tool, "-no-such-flag")
	if out, err := exec.Command(tool, "-version").Output(); err != nil || written == "" || !strings.Contains(string(out), written) {
		t.Errorf("gocryptfs has %q written in it, and says %q (%v)", written, out, err)
	}
}
