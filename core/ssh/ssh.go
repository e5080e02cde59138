// Package ssh runs OpenSSH's sshd on a node, with host keys, configuration and
// authorized keys from the private volume (/mnt/etc/ssh).
//
// It promises that nobody gets in with a password, that a damaged file is
// moved aside and made anew instead of keeping the operator out, and, by the
// supervisor that apps have too (core/services), that sshd is started again when
// it dies, and that one left by a killed core is adopted by pid and start time.
// Login sessions outlive both. It is not an ssh server of our own, and it does
// not decide who gets in: the AC does (api.Settings).
package ssh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/process"
	"github.com/g8os/g8os/core/services"
	"github.com/g8os/g8os/core/services/order"
)

// ErrPort is wrapped when another program listens on sshd's port.
var ErrPort = errors.New("port is already in use")

// ErrTool is wrapped when there is no sshd on this machine.
var ErrTool = errors.New("sshd is not installed")

// How long things may take, and pauses between starts.
const (
	startLimit = 10 * time.Second      // until sshd answers
	askEvery   = 20 * time.Millisecond // whether it does
	minPause   = 500 * time.Millisecond
	maxPause   = 30 * time.Second
)

// Options says where things are.
type Options struct {
	Dir    string       // /mnt/etc/ssh
	RunDir string       // sshd.pid and sshd.log: /run/g8os
	Sshd   string       // path of sshd; empty: /usr/sbin/sshd, then PATH
	Port   int          // of the default configuration; 0: 22
	Log    *slog.Logger // nil: slog.Default
	// Note tells of an sshd that fails, as services.Options has it.
	Note func(level int, service, text string)
}

// Name is what sshd is called among services.
const Name = "sshd"

// Server is the node's sshd. Its methods may be called concurrently.
type Server struct {
	o Options

	mu      sync.Mutex
	run     *services.Supervisor // while Run does; nil: before
	sshd    *process.Process     // the last one
	ready   bool
	failure error
	changed chan struct{} // closed, and made anew, when one of the above changes
}

// New prepares a server and touches nothing.
func New(o Options) *Server {
	if o.Port == 0 {
		o.Port = 22
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Server{o: o, changed: make(chan struct{})}
}

// Run prepares the files, adopts or starts sshd, and starts it again with
// growing pauses whenever it dies, until ctx ends. It then leaves sshd alone,
// so that a restarted core adopts it; Stop is what ends it. It returns the
// cause of ctx.
func (s *Server) Run(ctx context.Context) error {
	run := services.New(services.Options{
		RunDir: s.o.RunDir, Note: s.o.Note, Log: s.o.Log, Ready: func(string) { s.set(true, nil) },
	})
	s.mu.Lock()
	s.run = run
	s.mu.Unlock()
	run.Declare([]services.Service{{
		Service: order.Service{Name: Name, Limit: startLimit, Restart: order.Always, MinPause: minPause, MaxPause: maxPause},
		Runtime: daemon{s},
	}})
	<-ctx.Done()
	run.Leave()
	return context.Cause(ctx)
}

// Supervisor is what runs sshd, under its Name; nil: nothing yet.
func (s *Server) Supervisor() *services.Supervisor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

func (s *Server) set(ready bool, failure error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready, s.failure = ready, failure
	close(s.changed)
	s.changed = make(chan struct{})
}

// WaitReady returns when sshd takes connections. When ctx ends first, the
// error says what stands in the way.
func (s *Server) WaitReady(ctx context.Context) error {
	for {
		s.mu.Lock()
		ready, failure, changed := s.ready, s.failure, s.changed
		s.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for sshd: %w", context.Cause(ctx)), failure)
		}
	}
}

// Failure says why sshd does not run at the moment; nil when it runs or is
// being started for the first time.
func (s *Server) Failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// Restart has sshd be started anew. Login sessions stay.
func (s *Server) Restart() error {
	run := s.Supervisor()
	if run == nil {
		return nil // it will be started with what there is then
	}
	return run.Do(api.ServiceRestart, Name)
}

// Stop ends sshd, leaving login sessions; call it while Run runs, for the last
// time before its ctx ends.
func (s *Server) Stop(ctx context.Context) error {
	run := s.Supervisor()
	if run == nil {
		return nil
	}
	err := run.Shutdown(ctx)
	s.set(false, nil)
	return err
}
