package services

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// shell is a service that runs a script and is ready when a file is there.
func shell(dir, name, script string, after ...string) Service {
	ready := filepath.Join(dir, name+".ready")
	return Service{
		Name: name, After: after, Path: "/bin/sh", Args: []string{"-c", strings.ReplaceAll(script, "READY", ready)},
		Ready: func(context.Context) error { _, err := os.Stat(ready); return err },
		Limit: time.Minute, Grace: time.Minute,
	}
}

func start(t *testing.T, dir string, all ...Service) *Group {
	t.Helper()
	g := New(Options{RunDir: filepath.Join(dir, "run"), LogDir: filepath.Join(dir, "log"), Log: slog.New(slog.DiscardHandler)})
	go g.Run(t.Context(), all)
	t.Cleanup(func() {
		if err := g.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return g
}

func waitStatus(t *testing.T, g *Group, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(g.Status(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never %q; it is %q", text, g.Status())
		}
	}
}

func TestTheyRunInOrderAndEndInOrder(t *testing.T) {
	dir := t.TempDir()
	trail := filepath.Join(dir, "trail")
	script := func(name string) string {
		return "trap 'echo end " + name + " >> " + trail + "; exit 0' TERM; echo start " + name + " >> " + trail + "; echo hello from " + name + "; touch READY; while :; do sleep 0.02; done"
	}
	g := start(t, dir, shell(dir, "db", script("db")), shell(dir, "switch", script("switch"), "db"))
	waitStatus(t, g, "db ready, switch ready")
	if err := g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw, _ := os.ReadFile(trail)
	if got := strings.Fields(strings.ReplaceAll(string(raw), " ", "-")); !slices.Equal(got, []string{"start-db", "start-switch", "end-switch", "end-db"}) {
		t.Errorf("%q", got)
	}
	if said, err := os.ReadFile(filepath.Join(dir, "log/switch.log")); err != nil || !strings.HasPrefix(string(said), "hello from switch\n") {
		t.Errorf("%q, %v", said, err)
	}
}

func TestOneThatDiesIsStartedAgainAndSaysWhy(t *testing.T) {
	dir := t.TempDir()
	once := filepath.Join(dir, "once")
	g := start(t, dir, shell(dir, "x", "test -e "+once+" || { touch "+once+"; echo no space left; exit 7; }; touch READY; exec sleep 60"))
	waitStatus(t, g, "no space left")
	waitStatus(t, g, "x ready")
}

func TestOneThatCannotBePreparedSaysWhy(t *testing.T) {
	dir := t.TempDir()
	s := shell(dir, "x", "touch READY; exec sleep 60")
	s.Prepare = func(context.Context) error { return errors.New("no module openvswitch") }
	waitStatus(t, start(t, dir, s), "x failed (prepare x: no module openvswitch)")
}

func TestOneThatIgnoresTermIsKilled(t *testing.T) {
	dir := t.TempDir()
	s := shell(dir, "x", "trap '' TERM; touch READY; while :; do sleep 0.02; done")
	s.Grace = 200 * time.Millisecond
	g := start(t, dir, s)
	waitStatus(t, g, "x ready")
	if err := g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := g.Status(); got != "x stopped" {
		t.Error(got)
	}
}

func TestStopDuringTheStart(t *testing.T) {
	dir := t.TempDir()
	s := shell(dir, "x", "exec sleep 60") // is never ready
	began := make(chan struct{}, 9)
	s.Prepare = func(context.Context) error { began <- struct{}{}; return nil }
	g := start(t, dir, s)
	<-began
	if err := g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAProgramThatIsNotThereIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	gone := shell(dir, "gone", "")
	gone.Path = filepath.Join(dir, "nowhere")
	g := start(t, dir, gone, shell(dir, "x", "touch READY; exec sleep 60", "gone"))
	waitStatus(t, g, "x ready")
	if strings.Contains(g.Status(), "gone") {
		t.Error(g.Status())
	}
}

func TestStopOfWhatNeverRan(t *testing.T) {
	if err := New(Options{Log: slog.New(slog.DiscardHandler)}).Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestToolsAreWhole(t *testing.T) {
	for _, s := range Tools() {
		if s.Name == "" || !filepath.IsAbs(s.Path) || s.Ready == nil || s.Limit <= 0 || s.Grace <= 0 {
			t.Errorf("%+v", s)
		}
	}
}
