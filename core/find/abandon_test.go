package find

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/g8os/g8os/core/clock"
)

// A request that nobody answered is taken back: it must not reach an AC after
// the next one. One that was answered is closed in order.
func TestUnansweredRequestIsTakenBack(t *testing.T) {
	g := newGrid(t)
	cert := g.leaf(t, nil)
	for name, c := range map[string]struct {
		answer string
		want   error
	}{
		"unanswered":      {"", syscall.ECONNRESET},
		"half an answer":  {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", syscall.ECONNRESET},
		"answered":        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", io.EOF},
		"refused in full": {"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}", io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			asked, ended := make(chan struct{}), make(chan error, 1)
			go func() { ended <- answerOnce(l, cert, c.answer, asked) }()
			f := g.finder(&clock.System{})
			conn, err := f.Open(t.Context(), Target{Controller: "https://" + l.Addr().String()}, nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			if c.want == syscall.ECONNRESET {
				go func() { <-asked; cancel() }()
			}
			_ = conn.Post(ctx, "/node/unlock", struct{}{}, nil)
			cancel()
			conn.Close()
			if err := <-ended; !errors.Is(err, c.want) {
				t.Errorf("the AC sees the connection end with %v, want %v", err, c.want)
			}
		})
	}
}

// answerOnce takes one request, says what it is told to, and returns how the
// TCP connection ended.
func answerOnce(l net.Listener, cert tls.Certificate, answer string, asked chan struct{}) error {
	raw, err := l.Accept()
	if err != nil {
		return err
	}
	defer raw.Close()
	s := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}})
	r, err := http.ReadRequest(bufio.NewReader(s))
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, r.Body)
	if _, err := io.WriteString(s, answer); err != nil {
		return err
	}
	close(asked)
	if _, err := io.Copy(io.Discard, s); err != nil {
		return err
	}
	_, err = raw.Read(make([]byte, 1)) // after TLS has said goodbye
	return err
}
