package keep

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/internal/transcript"
)

func TestRule(t *testing.T) {
	transcript.Test(t, func(t *testing.T, script string) string {
		var rule Rule
		var out strings.Builder
		for line := range strings.Lines(script) {
			if strings.HasPrefix(line, "#") {
				out.WriteString(line)
				continue
			}
			word := strings.Fields(line)[0]
			ran, err := time.ParseDuration(word)
			if err != nil {
				t.Fatal(err)
			}
			rule = rule.Ended(ran)
			fmt.Fprintf(&out, "%-5s restart %d in %s\n", word, rule.Restarts, rule.Pause)
		}
		return out.String()
	})
}

// safe is a buffer that may be written and read at once.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(b []byte) (int, error) { s.mu.Lock(); defer s.mu.Unlock(); return s.b.Write(b) }
func (s *safe) String() string              { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

func program(script string, out *safe) *Program {
	return &Program{Name: "p", Argv: []string{"/bin/sh", "-c", script}, Out: out, Grace: 200 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
}

func TestItIsStartedAgainAndSaysWhy(t *testing.T) {
	var out safe
	ctx, cancel := context.WithCancel(t.Context())
	p := program("echo run; (sleep 60 &); exit 3", &out) // the grandchild holds the pipe (T17)
	var said []string
	p.Ended = func(why string, in time.Duration) {
		if said = append(said, fmt.Sprint(why, " ", in)); len(said) == 2 {
			cancel()
		}
	}
	p.Run(ctx)
	if strings.Join(said, "; ") != "exit status 3 0s; exit status 3 200ms" {
		t.Errorf("%q", said)
	}
	wait(t, func() bool { return out.String() == "run\nrun\n" }) // what it wrote comes by itself
}

func TestWhatCannotBeStartedIsTriedAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := program("", &safe{})
	p.Argv = []string{"/nowhere/program"}
	var said string
	p.Ended = func(why string, _ time.Duration) { said = why; cancel() }
	p.Run(ctx)
	if !strings.Contains(said, "/nowhere/program") {
		t.Error(said)
	}
}

func TestTheEndIsTermThenKill(t *testing.T) {
	for script, c := range map[string]struct {
		grace time.Duration
		want  string
	}{
		"trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done": {time.Minute, "up\nbye\n"},
		"trap '' TERM; echo up; while :; do sleep 0.01; done":                 {200 * time.Millisecond, "up\n"},
	} {
		var out safe
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		p := program(script, &out)
		p.Grace = c.grace
		go func() { p.Run(ctx); close(done) }()
		wait(t, func() bool { return strings.Contains(out.String(), "up") })
		cancel()
		<-done
		wait(t, func() bool { return out.String() == c.want })
	}
}

func wait(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within a minute")
		}
	}
}

func TestLogIsBoundedAndHandsOutLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "core.log")
	var lines []string
	l := NewLog(path, 100, func(s string) { lines = append(lines, s) })
	for i := range 20 {
		fmt.Fprintf(l, "line %02d ", i)
		fmt.Fprint(l, "end\n\n")
	}
	l = NewLog(path, 100, nil) // the next PID 1
	fmt.Fprint(l, "after\n")
	now, _ := os.ReadFile(path)
	before, _ := os.ReadFile(path + ".1")
	if len(now) > 100 || len(before) > 100 || !strings.HasSuffix(string(now), "after\n") || len(before) == 0 {
		t.Errorf("%d, %d bytes; %q", len(now), len(before), now)
	}
	if len(lines) != 20 || lines[19] != "line 19 end" {
		t.Errorf("%q", lines)
	}
	l.Close()
	fmt.Fprint(l, "late\n")
	if again, _ := os.ReadFile(path); string(again) != string(now) {
		t.Errorf("wrote after Close: %q", again)
	}
}

func TestALogWithoutDiskHandsOutLines(t *testing.T) {
	var lines []string
	l := NewLog("/proc/nowhere/core.log", 100, func(s string) { lines = append(lines, s) })
	fmt.Fprint(l, strings.Repeat("x", 5000)+"\nlast\n")
	if len(lines) != 2 || len(lines[0]) != maxLine || lines[1] != "last" {
		t.Errorf("%d lines", len(lines))
	}
}
