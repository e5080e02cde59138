package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/g8os/g8os/core/api"
)

func serve(t *testing.T, b *Board, reload func()) Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "core.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Serve(ctx, l, b, Does{Reload: reload}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return Client{Path: path}
}

func TestStatusAndReload(t *testing.T) {
	asked := make(chan struct{}, 1)
	c := serve(t, NewBoard(api.Status{Phase: "network"}), func() { asked <- struct{}{} })
	if s, err := c.Status(t.Context()); err != nil || s.Phase != "network" {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := c.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-asked
	if st, err := os.Stat(c.Path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600: the socket is root's", st.Mode())
	}
}

func TestWatchShowsEveryState(t *testing.T) {
	b := NewBoard(api.Status{Phase: "network"})
	c := serve(t, b, nil)
	var seen []string
	err := c.Watch(t.Context(), func(s api.Status) bool {
		seen = append(seen, s.Phase)
		switch s.Phase {
		case "network":
			b.Show(api.Status{Phase: "unlock"})
		case "unlock":
			b.Show(api.Status{Phase: "managed"})
		}
		return s.Phase != "managed"
	})
	if err != nil || len(seen) != 3 {
		t.Fatalf("saw %v, error %v", seen, err)
	}
}

func TestListenReplacesALeftoverButNotARunningOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "core.sock")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(path)
	if err != nil {
		t.Fatalf("a leftover keeps g8os_core from starting: %v", err)
	}
	defer l.Close()
	if _, err := Listen(path); !errors.Is(err, ErrRunning) {
		t.Fatalf("error %v, want ErrRunning", err)
	}
}

func TestNobodyThere(t *testing.T) {
	if _, err := (Client{Path: filepath.Join(t.TempDir(), "none")}).Status(t.Context()); err == nil {
		t.Fatal("no error without a g8os_core")
	}
}
