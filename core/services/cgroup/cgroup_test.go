package cgroup

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/g8os/g8os/core/services/spec"
)

func TestSettings(t *testing.T) {
	got := settings(spec.Limits{CPU: 0.2, Memory: 64 << 20, Pids: 16})
	want := [][2]string{{"cpu.max", "20000 100000"}, {"memory.max", "67108864"}, {"memory.oom.group", "1"}, {"pids.max", "16"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := settings(spec.Limits{}); len(got) > 0 {
		t.Errorf("no limits are %v", got)
	}
}

func TestOutOfMemory(t *testing.T) {
	for text, want := range map[string]bool{
		"low 0\nhigh 0\nmax 41\noom 3\noom_kill 2\noom_group_kill 1\n": true,
		"low 0\nhigh 0\nmax 41\noom 3\noom_kill 0\noom_group_kill 0\n": false, // it came by
		"": false,
	} {
		g := &Group{t.TempDir()}
		if err := os.WriteFile(filepath.Join(g.dir, "memory.events"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := g.OutOfMemory(); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if (&Group{filepath.Join(t.TempDir(), "gone")}).OutOfMemory() {
		t.Error("a group that is not there wanted too much")
	}
}
