package find

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/g8os/g8os/core/clock"
)

// A server that is there and says nothing is late; a port that nobody has is not.
func TestOnlyAServerThatIsThereIsLate(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	ask := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := newGrid(t).finder(&clock.System{}).Probe(ctx, Target{Controller: "https://" + l.Addr().String()})
		return err
	}
	if err := ask(); !errors.Is(err, ErrLate) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it says nothing: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ask(); err == nil || errors.Is(err, ErrLate) {
		t.Errorf("nobody is there: %v", err)
	}
}
