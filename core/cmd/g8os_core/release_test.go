package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/process"
)

// leave starts a program as a g8os_core would that is stopped then.
func leave(t *testing.T, runDir string) *process.Process {
	t.Helper()
	p, err := process.Start(process.Spec{Name: "sshd", Path: "/bin/sleep", Args: []string{"600"}, RunDir: runDir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(t.Context()) })
	return p
}

func release(t *testing.T, s *api.Status, runDir string) (string, int) {
	t.Helper()
	dir := t.TempDir()
	return call(t, s, "release", "--run-dir", runDir, "--dir", dir, "--mount", filepath.Join(dir, "mnt"))
}

func TestReleaseEndsWhatAStoppedCoreLeft(t *testing.T) {
	runDir := t.TempDir()
	left := leave(t, runDir)
	if out, code := release(t, nil, runDir); code != 0 {
		t.Fatalf("code %d: %s", code, out)
	}
	if left.ID().Alive() {
		t.Error("sshd still runs")
	}
	if out, code := release(t, nil, runDir); code != 0 {
		t.Errorf("with nothing left: code %d: %s", code, out)
	}
}

func TestReleaseLeavesARunningCoreAlone(t *testing.T) {
	runDir := t.TempDir()
	left := leave(t, runDir)
	out, code := release(t, &api.Status{PID: 4711, Phase: "managed"}, runDir)
	if code != 1 || !strings.Contains(out, "4711") || !left.ID().Alive() {
		t.Errorf("code %d, sshd alive: %v: %s", code, left.ID().Alive(), out)
	}
}
