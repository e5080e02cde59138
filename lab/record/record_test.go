package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

func scratch(t *testing.T) *Record {
	t.Helper()
	r := Of(fmt.Sprintf("r%d", os.Getpid()))
	t.Cleanup(func() {
		if err := r.Remove(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestNames(t *testing.T) {
	for _, good := range []string{"a", "default", "ci-1", "abcdefghijklmno"} {
		if err := CheckName(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "-", "a-", "A", "a b", "../x", "a/b", ".", "abcdefghijklmnop", "ä"} {
		if CheckName(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// Whatever a crash leaves at the end of the journal, the lines before it count
// and lines can be added.
func TestJournalCutShort(t *testing.T) {
	r := scratch(t)
	if err := r.Create(); err != nil {
		t.Fatal(err)
	}
	p := Process{PID: 7, Start: 8, Boot: "b"}
	if err := r.Note(Event{Kind: "create", Machine: "one", Proc: &p}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.Run, "journal.jsonl")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) {
		if err := os.WriteFile(path, slices.Concat(whole, whole[:cut]), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := r.Note(Event{Kind: "create", Machine: "two", Proc: &p}); err != nil {
			t.Fatal(err)
		}
		events, err := r.Journal()
		if err != nil {
			t.Fatal(err)
		}
		if m := Machines(events); m["one"] != p || m["two"] != p {
			t.Fatalf("cut at %d: got %v", cut, m)
		}
	}
}

func TestJournalOfMany(t *testing.T) {
	r := scratch(t)
	if err := r.Create(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if err := r.Note(Event{Kind: "create", Machine: fmt.Sprint(i), Proc: &Process{PID: i}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	events, err := r.Journal()
	if err != nil || len(Processes(events)) != 50 {
		t.Errorf("%d events, %v", len(events), err)
	}
}

func TestLock(t *testing.T) {
	r := scratch(t)
	if err := r.Lock(); err != nil {
		t.Fatal(err)
	}
	other := Of(r.Name)
	if err := other.Lock(); !errors.Is(err, ErrBusy) {
		t.Errorf("second lock: %v", err)
	}
	if err := r.Remove(); err != nil { // takes the file away under the other's feet
		t.Fatal(err)
	}
	if err := other.Lock(); err != nil {
		t.Errorf("lock after removal: %v", err)
	}
	other.Unlock()
}

func TestSaveAndLoad(t *testing.T) {
	r := scratch(t)
	if err := r.Create(); err != nil {
		t.Fatal(err)
	}
	var got map[string]int
	if err := r.Load("x.json", &got); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("load of nothing: %v", err)
	}
	if err := r.Save("x.json", map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	if err := r.Load("x.json", &got); err != nil || got["a"] != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	names, err := List()
	if err != nil || !slices.Contains(names, r.Name) {
		t.Errorf("list: %v, %v", names, err)
	}
}

// A number that was handed out again is another process.
func TestKillOnlyTheSame(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	p, err := ProcessOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []Process{
		{PID: p.PID, Start: p.Start + 1, Boot: p.Boot},
		{PID: p.PID, Start: p.Start, Boot: "another boot"},
		{PID: 0, Start: p.Start, Boot: p.Boot},
		{PID: 1, Start: 0, Boot: p.Boot},
	} {
		if err := other.Kill(ctx); err != nil || !p.Alive() {
			t.Fatalf("%+v: %v, alive %v", other, err, p.Alive())
		}
	}
	if err := KillAll(ctx, []Process{p, p}); err != nil {
		t.Fatal(err)
	}
	<-ended
	if p.Alive() {
		t.Error("it is said to be alive")
	}
	if err := p.Kill(ctx); err != nil {
		t.Errorf("kill what is gone: %v", err)
	}
}
