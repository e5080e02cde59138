package carrier

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

const (
	// patience stands for ever: who carries the messages has deadlines of its own.
	patience = 1000 * time.Hour
	// closing is how long a stream that was closed here waits for the other side
	// to close it too.
	closing = 10 * time.Second
)

func config() *yamux.Config {
	c := yamux.DefaultConfig()
	c.AcceptBacklog = 2 * MaxStreams
	c.EnableKeepAlive = false
	c.ConnectionWriteTimeout = patience
	c.StreamOpenTimeout = 0
	c.StreamCloseTimeout = closing
	c.MaxStreamWindowSize = window
	c.LogOutput = nil
	c.Logger = log.New(io.Discard, "", 0) // what matters comes back as an error
	return c
}

// Mux is one side of the session. Its methods may be called concurrently, but
// Received by one goroutine at a time.
type Mux struct {
	pipe *pipe
	mux  *yamux.Session
	work sync.WaitGroup
}

// Opener makes the side that opens streams. Each message begins with first;
// send must not keep it, and ends when the messages' carrier does.
func Opener(first byte, send func(message []byte) error) (*Mux, error) {
	p := newPipe(first, send, false)
	mux, err := yamux.Client(p, config())
	if err != nil {
		return nil, fmt.Errorf("channels: %w", err)
	}
	return &Mux{pipe: p, mux: mux}, nil
}

// Accepter makes the side that serves streams: handle is called for each in a
// goroutine of its own, and its ctx ends with the session.
func Accepter(first byte, send func(message []byte) error, handle func(context.Context, net.Conn)) (*Mux, error) {
	p := newPipe(first, send, true)
	mux, err := yamux.Server(p, config())
	if err != nil {
		return nil, fmt.Errorf("channels: %w", err)
	}
	m := &Mux{pipe: p, mux: mux}
	m.work.Go(func() { m.accept(handle) })
	return m, nil
}

func (m *Mux) accept(handle func(context.Context, net.Conn)) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		s, err := m.mux.AcceptStream()
		if err != nil {
			return
		}
		if m.mux.NumStreams() > 2*MaxStreams { // some may be closing
			_ = s.Close()
			continue
		}
		m.work.Go(func() {
			defer s.Close()
			handle(ctx, s)
		})
	}
}

// Received takes what came in a message, behind its first byte. It never
// blocks, and does not keep the bytes. An error means that the session is over.
func (m *Mux) Received(b []byte) error { return m.pipe.received(b) }

// Open opens a stream.
func (m *Mux) Open() (net.Conn, error) {
	s, err := m.mux.OpenStream()
	if err != nil {
		return nil, fmt.Errorf("channels: %w", err)
	}
	return s, nil
}

// End ends the session and its streams. It waits for nothing.
func (m *Mux) End() { _ = m.pipe.Close() }

// Close ends the session and waits for what it runs.
func (m *Mux) Close() {
	m.End()
	_ = m.mux.Close()
	<-m.pipe.ended
	m.work.Wait()
}
