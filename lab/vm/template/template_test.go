package template

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/vm/args"
)

// sealed is a template without a machine.
func sealed(t *testing.T, dir string) Template {
	t.Helper()
	tpl := Template{Dir: dir, Key: "0123456789abcdef0123"}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{tpl.Memory(): strings.Repeat("memory", 1000), tpl.State(): "state"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := tpl.seal(); err != nil {
		t.Fatal(err)
	}
	return tpl
}

func TestDamageIsNoticed(t *testing.T) {
	if err := (Template{Dir: filepath.Join(t.TempDir(), "none")}).check(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	if err := sealed(t, filepath.Join(t.TempDir(), "t")).check(); err != nil {
		t.Errorf("a whole one: %v", err)
	}
	flip := func(path string) error {
		text, err := os.ReadFile(path)
		if err == nil {
			text[len(text)-1]++
			err = os.WriteFile(path, text, 0o644)
		}
		return err
	}
	for name, damage := range map[string]func(Template) error{
		"no memory":           func(tpl Template) error { return os.Remove(tpl.Memory()) },
		"no state":            func(tpl Template) error { return os.Remove(tpl.State()) },
		"no description":      func(tpl Template) error { return os.Remove(tpl.meta()) },
		"memory cut off":      func(tpl Template) error { return os.Truncate(tpl.Memory(), 100) },
		"memory changed":      func(tpl Template) error { return flip(tpl.Memory()) },
		"state changed":       func(tpl Template) error { return flip(tpl.State()) },
		"state longer":        func(tpl Template) error { return os.Truncate(tpl.State(), 100) },
		"description cut off": func(tpl Template) error { return os.Truncate(tpl.meta(), 10) },
		"description empty":   func(tpl Template) error { return os.WriteFile(tpl.meta(), []byte("{}"), 0o644) },
		"of a different machine": func(tpl Template) error {
			text, err := os.ReadFile(tpl.meta())
			var m meta
			if err = errors.Join(err, json.Unmarshal(text, &m)); err != nil {
				return err
			}
			m.Key = "other"
			text, _ = json.Marshal(m)
			return os.WriteFile(tpl.meta(), text, 0o644)
		},
	} {
		tpl := sealed(t, filepath.Join(t.TempDir(), "t"))
		if err := damage(tpl); err != nil {
			t.Fatal(err)
		}
		if err := tpl.check(); err == nil || errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheKeyIsThatOfTheMachine(t *testing.T) {
	dir := t.TempDir()
	image, initrd := filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "initramfs")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(image, "kernel")
	write(initrd, "initramfs")
	spec := func() args.Spec {
		return args.Spec{Accel: "tcg", MemoryMiB: 256, Kernel: &args.Kernel{Image: image, Initrd: initrd, Append: "quiet"}}
	}
	key := func(s args.Spec) string {
		k, err := Key(t.Context(), Options{Spec: s})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first := key(spec())
	same := spec()
	same.Name, same.Dir, same.Log, same.Incoming, same.Memory.File = "n1", "/run/n1", "/log", true, "/else/where"
	if key(same) != first {
		t.Error("two nodes of one kind have two templates")
	}
	seen := map[string]string{first: "the first"}
	for name, change := range map[string]func(*args.Spec){
		"memory":       func(s *args.Spec) { s.MemoryMiB++ },
		"processors":   func(s *args.Spec) { s.CPUs = 2 },
		"command line": func(s *args.Spec) { s.Kernel.Append += " x" },
		"initramfs":    func(*args.Spec) { write(initrd, "another") },
	} {
		s := spec()
		change(&s)
		k := key(s)
		if other, twice := seen[k]; twice {
			t.Errorf("another %s has the same template as %s", name, other)
		}
		seen[k] = name
	}
	if _, err := Key(t.Context(), Options{Spec: args.Spec{USB: &args.USB{}}}); err == nil {
		t.Error("a stick has a template")
	}
}

func TestTheOldestGo(t *testing.T) {
	cache := t.TempDir()
	at := func(name string, age time.Duration) string {
		path := filepath.Join(cache, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
		return path
	}
	used := at("template-used", 9*time.Hour)
	stay := []string{used, at("template-a", time.Hour), at("template-b", 2*time.Hour), at("template-new", time.Minute),
		at(".making-now", time.Minute), at("other", 20*time.Hour)}
	gone := []string{at("template-c", 3*time.Hour), at("template-d", 4*time.Hour), at(".making-dead", time.Hour)}
	prune(cache, used)
	for _, path := range stay {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("gone: %v", err)
		}
	}
	for _, path := range gone {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
}

func TestOnlyOneMakesIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	told, got := make(chan string, 1), make(chan error)
	go func() {
		second, err := lock(t.Context(), path, func(format string, a ...any) { told <- fmt.Sprintf(format, a...) })
		if err == nil {
			second()
		}
		got <- err
	}()
	if line := <-told; !strings.Contains(line, "waiting") {
		t.Errorf("told %q", line)
	}
	unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
	held, err := lock(t.Context(), path, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer held()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := lock(ctx, path, t.Logf); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("held by another: %v", err)
	}
}

func TestAKernelForAnotherMachineIsRefusedFirst(t *testing.T) {
	dir := t.TempDir()
	image, cache := filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "cache")
	if err := os.WriteFile(image, []byte(strings.Repeat("\x00", 56)+"ARMd"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Get(t.Context(), Options{Cache: cache, Say: t.Logf, Spec: args.Spec{Accel: "tcg", MemoryMiB: 256,
		Kernel: &args.Kernel{Image: image, Initrd: image}}})
	if err == nil || !strings.Contains(err.Error(), "arm64") {
		t.Errorf("got %v", err)
	}
	entries, _ := os.ReadDir(cache)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".lock") {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

// A maker that was killed leaves a directory: the next one of this template
// removes it, and nothing of those that are at work on another.
func TestWhatADeadMakerLeftGoes(t *testing.T) {
	cache := t.TempDir()
	mine := Template{Dir: filepath.Join(cache, "template-a")}
	for _, dir := range []string{mine.making() + "1", ".making-template-b-1"} {
		if err := os.MkdirAll(filepath.Join(cache, dir, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mine.sweep(cache)
	left, err := os.ReadDir(cache)
	if err != nil || len(left) != 1 || left[0].Name() != ".making-template-b-1" {
		t.Errorf("left: %v, %v", left, err)
	}
}
