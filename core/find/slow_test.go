package find

import (
	"net"
	"testing"
	"time"

	"github.com/g8os/g8os/core/clock"
)

// late is a connection on a machine that is slow to go on after it has sent.
type late struct{ net.Conn }

func (l late) Write(b []byte) (int, error) {
	n, err := l.Conn.Write(b)
	time.Sleep(100 * time.Millisecond)
	return n, err
}

// A nonce is good on its own connection: a machine that is slow keeps it.
func TestSlowMachineKeepsItsConnection(t *testing.T) {
	g, asked := newGrid(t), 0
	url := serve(t, g.leaf(t, nil), time.Now(), &asked)
	conn, err := g.finder(&clock.System{}).Open(t.Context(), Target{Controller: url}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.wire.Conn = late{conn.wire.Conn}
	for range 3 {
		if err := conn.Post(t.Context(), "/node/challenge", struct{}{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 3 {
		t.Errorf("%d requests arrived, want 3", asked)
	}
}
