// Package ssh runs OpenSSH's sshd on a node, with host keys, configuration and
// authorized keys from the private volume (/mnt/etc/ssh).
//
// It promises that nobody gets in with a password, that a damaged file is
// moved aside and made anew instead of keeping the operator out, that sshd is
// started again when it dies, and that one left by a killed core is adopted by
// pid and start time. Login sessions outlive both. It is not an ssh server of
// our own, and it does not decide who gets in: the AC does (api.Settings).
package ssh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/g8os/g8os/core/process"
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
}

// Server is the node's sshd. Its methods may be called concurrently.
type Server struct {
	o Options

	mu      sync.Mutex
	sshd    *process.Process
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
	pause := process.Backoff{Min: minPause, Max: maxPause, Rand: rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(time.Now().UnixNano())))}
	for {
		began := time.Now()
		err := s.once(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.set(false, err)
		wait := pause.Next(time.Since(began))
		s.o.Log.Warn("sshd does not run", "error", err, "again_in", wait)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// once is one life of sshd: it returns when that is over, or ctx.
func (s *Server) once(ctx context.Context) error {
	sshd, err := s.binary()
	if err != nil {
		return err
	}
	if err := prepare(s.o, sshd); err != nil {
		return err
	}
	listen, err := addresses(s.o, sshd)
	if err != nil {
		return err
	}
	p, err := s.adoptOrStart(sshd, listen)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.sshd = p
	s.mu.Unlock()
	if err := untilAnswers(ctx, p, listen); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return errors.Join(err, p.Stop(context.WithoutCancel(ctx)))
	}
	s.set(true, nil)
	select {
	case <-p.Died():
		return p.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Server) adoptOrStart(sshd string, listen []string) (*process.Process, error) {
	spec := process.Spec{Name: "sshd", Path: sshd, RunDir: s.o.RunDir, Log: s.o.Log,
		Args: []string{"-D", "-e", "-f", s.o.path(configFile), "-o", "PidFile=none"},
		Env:  []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}
	p, err := process.Adopt(spec)
	if !errors.Is(err, process.ErrNotRunning) {
		return p, err
	}
	for _, address := range listen {
		if err := free(address); err != nil {
			return nil, err
		}
	}
	return process.Start(spec)
}

// binary is sshd with its full path: it starts itself anew for each login.
func (s *Server) binary() (string, error) {
	for _, name := range []string{s.o.Sshd, "/usr/sbin/sshd", "sshd"} {
		if name == "" {
			continue
		}
		path, err := exec.LookPath(name)
		if err == nil {
			return path, nil
		}
		if name == s.o.Sshd {
			return "", fmt.Errorf("%w: %w", ErrTool, err)
		}
	}
	return "", fmt.Errorf("%w: install the package openssh-server", ErrTool)
}

func (s *Server) set(ready bool, failure error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready, s.failure = ready, failure
	close(s.changed)
	s.changed = make(chan struct{})
}

// WaitReady returns when sshd answers on its port. When ctx ends first, the
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

// Stop ends sshd, leaving login sessions; call it after Run has returned.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	p := s.sshd
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	s.set(false, nil)
	return p.Stop(ctx)
}
