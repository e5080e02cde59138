// Package thread makes a goroutine punctual: what moves and times frames must
// not wait for a timer or a processor.
//
// It is for short or rare work only: nothing else runs where such a thread does.
package thread

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Punctual gives the calling goroutine a thread of its own, which ends with the
// goroutine, that comes before others (setpriority(2)) and is woken when it
// asked to be: the kernel is late by 50 µs unless it is told (prctl(2),
// PR_SET_TIMERSLACK), and the runtime's timers by a millisecond.
func Punctual() error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("timer slack of a thread: %w", err)
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20); err != nil {
		return fmt.Errorf("priority of a thread: %w; it takes root", err)
	}
	return nil
}
