package control_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/g8os/g8os/lab/actor/control"
)

func serve(t *testing.T, do func([]string) error) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "actor.sock")
	socket, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- socket.Serve(ctx, do) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket was left behind: %v", err)
		}
	})
	return path
}

func TestTellReturnsOnceItIsInForce(t *testing.T) {
	var told []string
	path := serve(t, func(words []string) error {
		told = append(told, strings.Join(words, "+"))
		return nil
	})
	for _, words := range [][]string{{"silent"}, {"slow", "3s"}} {
		if err := control.Tell(t.Context(), path, words...); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(told, " "); got != "silent slow+3s" {
		t.Errorf("the actor was told %q", got)
	}
}

func TestARefusalCarriesItsReason(t *testing.T) {
	path := serve(t, func([]string) error { return errors.New("no such mode\nuse another") })
	err := control.Tell(t.Context(), path, "dance")
	if err == nil || err.Error() != `the actor refused "dance": no such mode; use another` {
		t.Errorf("got %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	err := control.Tell(t.Context(), filepath.Join(t.TempDir(), "none.sock"), "silent")
	if err == nil || !strings.Contains(err.Error(), "does it run, with this --control?") {
		t.Errorf("got %v", err)
	}
}
