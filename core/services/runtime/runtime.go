// Package runtime says what the supervisor needs of a thing that services are
// made of: programs (package program), containers (docker), virtual machines (kvm).
//
// It promises nothing by itself. What an implementation promises is that its
// instances outlive g8os_core, and can be adopted by the next one.
package runtime

import (
	"context"
	"errors"

	"github.com/g8os/g8os/core/process"
	"github.com/g8os/g8os/core/services/order"
)

// ErrNotRunning is wrapped by Adopt when there is nothing to adopt.
var ErrNotRunning = errors.New("is not running")

// ErrUnmet is wrapped by Start when a condition of the service is not met: that
// is no failure of it.
var ErrUnmet = errors.New("condition is not met")

// Runtime runs one service. Its methods are called by one goroutine at a time,
// but for Logs.
type Runtime interface {
	// Start starts it; ctx bounds the start alone.
	Start(ctx context.Context) (Instance, error)
	// Adopt takes over what an earlier g8os_core has started.
	Adopt() (Instance, error)
	// LastExit says how the last instance ended, if that is known.
	LastExit() order.Exit
	// Logs writes the last lines, and with follow those that come until ctx ends.
	Logs(ctx context.Context, lines int, follow bool, write func(line []byte) error) error
}

// ExitOf says how a process ended, from the error of it (process.Process.Err).
func ExitOf(err error) order.Exit {
	code := process.ExitCode(err)
	return order.Exit{Known: code >= 0, Code: max(code, 0), Why: err.Error()}
}

// Instance is a service that runs.
type Instance interface {
	PID() int
	// Ready returns when it is ready, or an error when it never will be.
	Ready(ctx context.Context) error
	Died() <-chan struct{}
	// Exit says how it ended, after Died.
	Exit() order.Exit
	// Stop ends it and all it has started, and returns when they are gone.
	Stop() error
}
