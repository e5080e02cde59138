package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/g8os/g8os/ac-mock/client"
)

type forwardCmd struct {
	Node  string   `arg:"" help:"Id, MAC or host name."`
	Ports []string `arg:"" name:"port" help:"[BIND:]PORT:[HOST:]PORT, or [BIND:]PORT:unix:/PATH."`
}

func (forwardCmd) Help() string {
	return `Listens here, on 127.0.0.1 unless BIND says otherwise, until Ctrl-C; every connection goes
through the AC to the node, which connects to HOST (itself if not given). With port 0
here, any free one is taken. A connection that fails is a line on stderr, not the end.

  g8os forward office-1 8080:80
  g8os forward office-1 2222:22 5432:db.internal:5432
  g8os forward office-1 0.0.0.0:8080:80
  g8os forward office-1 9000:unix:/run/app.sock`
}

// forwarded is one port that is forwarded.
type forwarded struct {
	listen string // BIND:PORT
	to     string // as api.ChannelOpen has it
}

func parseForward(s string) (forwarded, error) {
	wrong := fmt.Errorf("%q: want [BIND:]PORT:[HOST:]PORT or [BIND:]PORT:unix:/PATH", s)
	local, remote, unix := strings.Cut(s, ":unix:")
	field := splitColons(s)
	if unix {
		field = splitColons(local)
		remote = "unix:" + remote
	} else {
		n := 1 // fields of the remote end
		if len(field) == 4 || len(field) == 3 && isPort(field[0]) {
			n = 2
		}
		if len(field) < 2 || !isPort(field[len(field)-1]) {
			return forwarded{}, wrong
		}
		remote = net.JoinHostPort("127.0.0.1", field[len(field)-1])
		if n == 2 {
			remote = net.JoinHostPort(field[len(field)-2], field[len(field)-1])
		}
		field = field[:len(field)-n]
	}
	bind := "127.0.0.1"
	switch {
	case len(field) == 2:
		bind = field[0]
	case len(field) != 1:
		return forwarded{}, wrong
	}
	if port := field[len(field)-1]; isPort(port) {
		return forwarded{net.JoinHostPort(bind, port), remote}, nil
	}
	return forwarded{}, wrong
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// splitColons splits at colons that are not inside of brackets ([::1]).
func splitColons(s string) []string {
	var field []string
	for {
		end := strings.IndexByte(s, ':')
		if strings.HasPrefix(s, "[") {
			if i := strings.Index(s, "]:"); i >= 0 {
				end = i + 1
			} else {
				end = -1
			}
		}
		part := s
		if end >= 0 {
			part = s[:end]
		}
		field = append(field, strings.Trim(part, "[]"))
		if end < 0 {
			return field
		}
		s = s[end+1:]
	}
}

func (f *forwardCmd) Run(s *session) error {
	var all []forwarded
	for _, p := range f.Ports {
		one, err := parseForward(p)
		if err != nil {
			return exitError{exitUsage, err}
		}
		all = append(all, one)
	}
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Node(s.ctx, f.Node); err != nil {
		return err
	}
	p := &ports{client: c, node: f.Node, stderr: s.stderr}
	for _, one := range all {
		l, err := (&net.ListenConfig{}).Listen(s.ctx, "tcp", one.listen)
		if err != nil {
			p.close()
			return fmt.Errorf("listen on %s: %w", one.listen, err)
		}
		p.add(s.ctx, l, one.to)
		fmt.Fprintf(s.stdout, "%s → %s %s\n", l.Addr(), f.Node, one.to)
		if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
			fmt.Fprintf(s.stderr, "g8os: others can connect to %s too\n", l.Addr())
		}
	}
	<-s.ctx.Done()
	p.close()
	return nil
}

// ports are the listeners of a forward, and their connections.
type ports struct {
	client    *client.Client
	node      string
	listeners []net.Listener
	open      sync.WaitGroup

	mu     sync.Mutex // for stderr
	stderr io.Writer
}

func (p *ports) add(ctx context.Context, l net.Listener, to string) {
	p.listeners = append(p.listeners, l)
	p.open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					p.say(l.Addr(), err)
				}
				return
			}
			p.open.Go(func() {
				if err := p.client.Forward(ctx, p.node, to, conn); err != nil && ctx.Err() == nil {
					p.say(conn.RemoteAddr(), err)
				}
			})
		}
	})
}

func (p *ports) say(who net.Addr, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.stderr, "g8os: %s: %s\n", who, oneLine(err.Error()))
}

func (p *ports) close() {
	for _, l := range p.listeners {
		_ = l.Close()
	}
	p.open.Wait()
}
