// Package ready waits until a service is ready, as its declaration says: for
// all runtimes alike.
//
// It asks and never touches the service. That a service says so itself
// (sd_notify(3)) is for programs alone, and not here.
package ready

import (
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"time"

	"github.com/g8os/g8os/core/process"
	"github.com/g8os/g8os/core/services/spec"
)

// every is how often a service that starts is asked.
const every = 100 * time.Millisecond

// Service is one that has been started.
type Service struct {
	Died <-chan struct{}
	Err  func() error // how it ended, once Died is closed
	// Lines hands out what this run has written, and what comes, until ctx ends.
	Lines func(ctx context.Context, write func(line []byte) error) error
}

// Wait returns when it is ready, or why it will not be.
func Wait(ctx context.Context, r spec.Ready, s Service) error {
	switch {
	case r.AliveFor > 0:
		select {
		case <-time.After(r.AliveFor):
			return nil
		case <-s.Died:
			return s.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	case r.TCP != "":
		return s.until(ctx, func(ctx context.Context) bool { return connects(ctx, r.TCP) })
	case r.HTTP != "":
		return s.until(ctx, func(ctx context.Context) bool { return responds(ctx, r.HTTP) })
	case r.Output != "":
		return process.Said(ctx, s.Lines, s.Died, s.Err, regexp.MustCompile(r.Output).Match) // Parse has compiled it
	}
	return nil
}

// until asks again and again.
func (s Service) until(ctx context.Context, ask func(context.Context) bool) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ask(ctx) {
			return nil
		}
		select {
		case <-s.Died:
			return s.Err()
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func connects(ctx context.Context, address string) bool {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "tcp", address)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func responds(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	return resp.StatusCode < http.StatusBadRequest
}
