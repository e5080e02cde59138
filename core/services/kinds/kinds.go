// Package kinds knows which runtime a service wants: a program, a container or
// a virtual machine.
//
// It promises that containers that nobody declares any more are ended, also
// those of an earlier g8os_core, and that without any container declared no
// dockerd is talked to but for that.
package kinds

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/g8os/g8os/core/services/cgroup"
	"github.com/g8os/g8os/core/services/docker"
	"github.com/g8os/g8os/core/services/kvm"
	"github.com/g8os/g8os/core/services/program"
	"github.com/g8os/g8os/core/services/runtime"
	"github.com/g8os/g8os/core/services/spec"
)

const (
	pruneLimit = 2 * time.Minute
	strayGrace = 10 * time.Second
)

// Kinds are the runtimes of a machine.
type Kinds struct {
	socket string // of dockerd
	docker func() (*docker.Engine, error)
	log    *slog.Logger

	mu       sync.Mutex
	where    program.Where
	pruning  sync.WaitGroup
	turn     sync.Mutex // of those who prune
	ctx      context.Context
	leave    context.CancelFunc
	declared map[string]bool // names of containers, as said last
}

// New returns those of programs at a place, and of the dockerd at a socket.
func New(w program.Where, socket string) *Kinds {
	k := &Kinds{where: w, socket: socket, log: w.Log}
	k.docker = sync.OnceValues(func() (*docker.Engine, error) { return docker.Open(socket, w.Log) })
	k.ctx, k.leave = context.WithCancel(context.Background())
	return k
}

// Limit has programs and virtual machines that come be limited; the error says
// why this machine cannot.
func (k *Kinds) Limit() (err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.where.Groups == nil {
		k.where.Groups, err = cgroup.Open(cgroup.Root)
	}
	return err
}

func (k *Kinds) place() program.Where {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.where
}

// New returns the runtime of a service.
func (k *Kinds) New(s spec.Service) runtime.Runtime {
	switch s.Runtime {
	case spec.Container:
		e, err := k.docker()
		if err != nil {
			return broken{fmt.Errorf("docker: %w", err)}
		}
		return e.New(s)
	case spec.Guest:
		return kvm.New(s, k.place())
	default:
		return program.New(s, k.place())
	}
}

// Stray is what runs as a program and is declared no more.
func (k *Kinds) Stray(name string) runtime.Runtime {
	return program.New(spec.Service{Name: name, Signal: "TERM", Grace: strayGrace}, k.place())
}

// Prune ends, beside, containers that are neither of these services nor of
// those in keep.
func (k *Kinds) Prune(all []spec.Service, keep []string) {
	names := map[string]bool{}
	for _, s := range all {
		if s.Runtime == spec.Container {
			names[s.Name] = true
		}
	}
	for _, name := range keep {
		names[name] = true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.declared = names
	if _, err := os.Stat(k.socket); err != nil || k.ctx.Err() != nil {
		return // no dockerd
	}
	k.pruning.Go(k.prune)
}

func (k *Kinds) prune() {
	k.turn.Lock()
	defer k.turn.Unlock()
	k.mu.Lock()
	names := k.declared
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(k.ctx, pruneLimit)
	defer cancel()
	e, err := k.docker()
	if err == nil {
		err = e.Prune(ctx, names)
	}
	if err != nil && k.ctx.Err() == nil {
		k.log.Warn("containers that nobody declares stay", "error", err)
	}
}

// Settle returns when what Prune has begun is done, which takes no longer than
// dockerd is given; then nothing watches any more.
func (k *Kinds) Settle() {
	k.pruning.Wait()
	k.Leave()
}

// Leave ends all that watches; what runs goes on.
func (k *Kinds) Leave() {
	k.mu.Lock()
	k.leave()
	k.mu.Unlock()
	k.pruning.Wait()
	if e, err := k.docker(); err == nil {
		e.Leave()
	}
}
