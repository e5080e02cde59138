// Package channel serves an operator on a node over a stream that the AC
// opened: a shell, a connection to an address that the node can reach, a file
// or folder to or from it (core/api/channel.go says what goes over the wire).
//
// It promises: a channel's program and its process group are gone soon after
// the channel is (HUP, then KILL), whatever ended it; a file or folder that was
// not transferred whole, and proved so by its SHA-256, leaves nothing; what
// one channel costs is bounded, however slow or hostile the other end is.
//
// It does not ask whether the operator may: the AC has, and says who it is.
package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/duplex"
)

const (
	opening   = 10 * time.Second // how long the first frame may take
	dialling  = 10 * time.Second // how long an address may take to answer
	codeError = 1                // of what went wrong without a program
)

// Server serves channels. It may be used concurrently.
type Server struct {
	Log *slog.Logger
}

// Serve serves one stream until it, or ctx, ends.
func (s *Server) Serve(ctx context.Context, stream net.Conn) {
	t := duplex.Stream(stream)
	_ = stream.SetReadDeadline(time.Now().Add(opening))
	first, err := t.Receive()
	_ = stream.SetReadDeadline(time.Time{})
	var open api.ChannelOpen
	if err == nil {
		open, err = request(first)
	}
	if err != nil {
		s.Log.Warn("channel refused", "error", err)
		if f, err := api.JSONFrame(api.FrameEnd, api.ChannelEnd{Code: codeError, Error: err.Error()}); err == nil {
			_ = t.Send(f)
		}
		return
	}
	began := time.Now()
	s.Log.Info("channel opened", "by", open.By, "what", open.Summary())
	end := s.serve(ctx, t, open)
	s.Log.Info("channel closed", "by", open.By, "kind", open.Kind, "code", end.Code, "error", end.Error, "after", time.Since(began))
}

func request(f api.ChannelFrame) (open api.ChannelOpen, err error) {
	if f.Kind != api.FrameOpen {
		return open, fmt.Errorf("channel: it begins with a frame %q, want a request", rune(f.Kind))
	}
	if err := f.Decode(&open); err != nil {
		return open, err
	}
	return open, open.Check()
}

// serve runs a channel to its end and says how that was.
func (s *Server) serve(ctx context.Context, t duplex.Transport, open api.ChannelOpen) api.ChannelEnd {
	sizes := make(chan api.ChannelSize, 1)
	c := duplex.New(t, func(size api.ChannelSize) { replace(sizes, size) })
	defer c.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = t.Close() })
	defer stop()
	go func() { // who reads and who writes may both be waiting for something else
		<-c.Done()
		cancel()
	}()
	var end api.ChannelEnd
	var err error
	switch open.Kind {
	case api.ChannelShell:
		end.Code, err = shell(ctx, c, open, sizes)
	case api.ChannelForward:
		err = forward(ctx, c, open.Address)
	case api.ChannelGet:
		err = get(ctx, c, open)
	case api.ChannelPut:
		end.Sum, err = put(ctx, c, open)
	}
	if err != nil {
		end.Error = err.Error()
		end.Code = max(end.Code, codeError)
	}
	_ = c.SendJSON(api.FrameEnd, end)
	return end
}

// replace puts the newest value into a channel for one.
func replace[T any](c chan T, v T) {
	for {
		select {
		case c <- v:
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}

// copyIn writes the operator's data to w until its end.
func copyIn(c *duplex.Conn, w io.Writer) error {
	for {
		f, err := c.Next()
		if err != nil {
			return err
		}
		switch f.Kind {
		case api.FrameData:
			if _, err := w.Write(f.Data); err != nil {
				return err
			}
		case api.FrameEOF:
			return nil
		default:
			return fmt.Errorf("channel: a frame %q, want data", rune(f.Kind))
		}
	}
}

// copyOut sends what r has until its end.
func copyOut(c *duplex.Conn, kind api.FrameKind, r io.Reader) error {
	buf := make([]byte, api.ChannelChunk)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if err := c.Send(api.ChannelFrame{Kind: kind, Data: buf[:n]}); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
