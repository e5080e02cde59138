package channel

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/g8os/g8os/core/api"
)

// A service that answers when it has heard all: the two ways end one by one.
func TestForward(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "s")
		}
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan int, 1)
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			all, _ := io.ReadAll(c)
			heard <- len(all)
			_, _ = c.Write(bytes.Repeat([]byte("x"), 1<<20))
		}()
		to := l.Addr().String()
		if network == "unix" {
			to = "unix:" + to
		}
		op := open(t, api.ChannelOpen{Kind: api.ChannelForward, Address: to})
		op.ready()
		op.say(strings.Repeat("y", 1<<20))
		op.eof()
		out, _, end := op.end()
		if n := <-heard; n != 1<<20 || len(out) != 1<<20 || end.Error != "" || end.Code != 0 {
			t.Errorf("%s: %d bytes there, %d back, %+v", network, n, len(out), end)
		}
		op.gone()
		_ = l.Close()
	}
}

func TestForwardToNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	if _, _, end := open(t, api.ChannelOpen{Kind: api.ChannelForward, Address: address}).end(); end.Code != 1 || !strings.Contains(end.Error, "refused") {
		t.Errorf("%+v", end)
	}
}

// A connection that is reset, or whose operator goes, ends both.
func TestForwardThatBreaks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, who := range []string{"service", "operator"} {
		op := open(t, api.ChannelOpen{Kind: api.ChannelForward, Address: l.Addr().String()})
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		op.ready()
		if who == "service" {
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
			if _, _, end := op.end(); end.Code != 1 || !strings.Contains(end.Error, "reset") {
				t.Errorf("%+v", end)
			}
		} else {
			op.Close()
			if _, err := io.ReadAll(c); err != nil {
				t.Error(err)
			}
			_ = c.Close()
		}
		op.gone()
	}
}
