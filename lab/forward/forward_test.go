package forward

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"time"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func dial(t *testing.T, to string) *net.TCPConn {
	t.Helper()
	l := listen(t)
	go Serve(l, to, slog.New(slog.DiscardHandler))
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c.(*net.TCPConn)
}

// One side says all it has and closes; the other answers after that.
func TestHalfClose(t *testing.T) {
	l := listen(t)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		heard, _ := io.ReadAll(c)
		_, _ = c.Write(append([]byte("heard "), heard...))
	}()
	c := dial(t, l.Addr().String())
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "heard hello" {
		t.Errorf("got %q, %v", got, err)
	}
}

// An end that cannot be reached is a reset, not a silent close. It may come
// while the dialler still waits for its handshake to be told.
func TestNobodyThere(t *testing.T) {
	gone := listen(t)
	_ = gone.Close()
	l := listen(t)
	go Serve(l, gone.Addr().String(), slog.New(slog.DiscardHandler))
	c, err := net.Dial("tcp", l.Addr().String())
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}
