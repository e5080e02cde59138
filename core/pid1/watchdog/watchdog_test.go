package watchdog

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestStuck(t *testing.T) {
	loops := []loop{{"main", 10 * time.Second, 0}, {"reap", 30 * time.Second, 5 * time.Second}}
	for _, c := range []struct {
		now  time.Duration
		want []string
	}{
		{0, nil}, {10 * time.Second, nil}, {11 * time.Second, []string{"main"}},
		{35 * time.Second, []string{"main"}}, {36 * time.Second, []string{"main", "reap"}},
	} {
		if got := stuck(c.now, loops); !slices.Equal(got, c.want) {
			t.Errorf("after %v: %v, want %v", c.now, got, c.want)
		}
	}
}

func TestPulses(t *testing.T) {
	var up time.Duration
	p := NewPulses(func() time.Duration { return up })
	main := p.Expect("main", time.Second)
	other := p.Expect("other", time.Second)
	up = 2 * time.Second
	main()
	if got := p.stuck(); !slices.Equal(got, []string{"other"}) {
		t.Errorf("%v", got)
	}
	beat := p.Only("power", time.Minute)
	other() // no longer counts
	up = 50 * time.Second
	if got := p.stuck(); got != nil {
		t.Errorf("forgiven, and stuck: %v", got)
	}
	up = 90 * time.Second
	if got := p.stuck(); !slices.Equal(got, []string{"power"}) {
		t.Errorf("%v", got)
	}
	beat()
	if got := p.stuck(); got != nil {
		t.Errorf("%v", got)
	}
}

// device is a file in the watchdog's place: what is written to it is food.
func device(t *testing.T) (path string, eaten func() string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "watchdog")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, func() string { all, _ := os.ReadFile(path); return string(all) }
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: ", what)
		}
	}
}

func TestFedWhileTheLoopsTurnAndDisarmed(t *testing.T) {
	path, eaten := device(t)
	var up atomic.Int64
	p := NewPulses(func() time.Duration { return time.Duration(up.Load()) })
	beat := p.Expect("main", time.Second)
	var said lockedBuffer
	w := New(Settings{Devices: path + "*", Timeout: 30 * time.Second, Feed: 5 * time.Millisecond}, p, slog.New(slog.NewTextHandler(&said, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	until(t, "fed", func() bool { return len(eaten()) > 3 })

	up.Store(int64(2 * time.Second))
	until(t, "named", func() bool { return strings.Contains(said.String(), "stuck=main") })
	hungry := len(eaten())
	time.Sleep(30 * time.Millisecond) // six feeds long
	if now := len(eaten()); now > hungry+1 {
		t.Errorf("fed %d times though main is stuck", now-hungry)
	}
	beat()
	until(t, "fed again", func() bool { return len(eaten()) > hungry+3 })

	cancel()
	<-done
	if err := w.Disarm(); err != nil {
		t.Fatal(err)
	}
	until(t, "magic close", func() bool { return strings.HasSuffix(eaten(), "V") })
	w.Feed() // too late, and harmless
	if n := w.arm(); n != 0 {
		t.Error("armed again after Disarm")
	}
}

func TestNoWatchdogIsSaidOnce(t *testing.T) {
	var said lockedBuffer
	dir := t.TempDir()
	w := New(Settings{Devices: filepath.Join(dir, "watchdog[0-9]*"), Timeout: time.Second, Feed: time.Millisecond, Appear: 3 * time.Millisecond},
		NewPulses(func() time.Duration { return 0 }), slog.New(slog.NewTextHandler(&said, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	until(t, "said", func() bool { return strings.Contains(said.String(), "no watchdog") })
	os.Mkdir(filepath.Join(dir, "watchdog0"), 0o700) // one that cannot be opened for writing
	until(t, "said", func() bool { return strings.Contains(said.String(), "cannot be used") })
	late := filepath.Join(dir, "watchdog1")
	os.WriteFile(late, nil, 0o600) // its driver comes late
	until(t, "fed", func() bool { raw, _ := os.ReadFile(late); return len(raw) > 2 })
	cancel()
	<-done
	if n := strings.Count(said.String(), "cannot be used"); n != 1 {
		t.Errorf("complained %d times", n)
	}
	if strings.Count(said.String(), "no watchdog") != 1 {
		t.Error(said.String())
	}
	if err := w.Disarm(); err != nil {
		t.Error(err)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }
