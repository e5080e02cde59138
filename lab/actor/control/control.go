// Package control is the socket over which a running actor is told to behave
// differently: a unix socket, so that it is reached from outside the actor's
// network namespace.
//
// One line of words in, one line out: "ok", or "error: " and the reason. An
// answer of ok means that the change is in force, for every packet from then
// on. It authenticates nobody beyond the rights on the socket's file (0600).
package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// maxWait bounds one exchange, so that a client that says nothing holds
// nobody up.
const maxWait = 5 * time.Second

// Socket is an actor's end.
type Socket struct {
	path string
	l    net.Listener // nil: nobody can tell it anything
}

// Listen opens the socket at path, over whatever an actor that was killed left
// there. With an empty path there is none.
func Listen(path string) (*Socket, error) {
	if path == "" {
		return &Socket{}, nil
	}
	_ = os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on the control socket %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("close the control socket to others: %w", err), l.Close())
	}
	return &Socket{path: path, l: l}, nil
}

// Serve gives every line to do, one at a time, until ctx ends; then it removes
// the socket and returns nil.
func (s *Socket) Serve(ctx context.Context, do func(words []string) error) error {
	if s.l == nil {
		<-ctx.Done()
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = s.l.Close() })
	defer stop()
	defer s.l.Close()
	for {
		c, err := s.l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept on the control socket %s: %w", s.path, err)
		}
		answer(c, do)
	}
}

func answer(c net.Conn, do func([]string) error) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(maxWait))
	line, err := bufio.NewReaderSize(c, 4096).ReadSlice('\n')
	if err != nil {
		return
	}
	reply := "ok\n"
	if err := do(strings.Fields(string(line))); err != nil {
		reply = "error: " + strings.ReplaceAll(err.Error(), "\n", "; ") + "\n"
	}
	_, _ = c.Write([]byte(reply))
}

// Tell sends words to the actor whose socket is at path and returns once they
// are in force.
func Tell(ctx context.Context, path string, words ...string) error {
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("reach the actor at %s: %w; does it run, with this --control?", path, err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(maxWait))
	what := strings.Join(words, " ")
	if _, err := fmt.Fprintln(c, what); err != nil {
		return fmt.Errorf("tell the actor %q: %w", what, err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return fmt.Errorf("tell the actor %q: no answer: %w", what, err)
	}
	if reason, refused := strings.CutPrefix(strings.TrimSpace(line), "error: "); refused {
		return fmt.Errorf("the actor refused %q: %w", what, errors.New(reason))
	}
	return nil
}
