// Package thread makes a goroutine punctual: what moves and times frames must
// not wait for a timer or a processor.
//
// It is for rare or short work only: nothing else runs where such a thread does.
package thread

import (
	"errors"
	"fmt"
	"os"
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

// Measuring is Punctual for work that lasts a second or so: the thread comes
// before all that are not of real time (sched(7), SCHED_RR). Where that is not
// allowed it is only punctual, and measures what else the machine does as well.
func Measuring() error {
	if err := Punctual(); err != nil {
		return err
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("real time for a thread: %w", err)
	}
	return nil
}

// Prefer makes the session of a process come before others: priorities are
// compared within a session only, where the kernel groups by them (sched(7),
// the autogroup feature). dir is the process's in some /proc.
func Prefer(dir string) error {
	f, err := os.OpenFile(dir+"/autogroup", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		_, err = f.WriteString("-20")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("priority of a session: %w; it takes root", err)
	}
	return nil
}
