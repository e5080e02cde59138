package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Exit codes beside those of commands that were run.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitNotExecuted = 126 // the program is there and cannot be run
	exitNotFound    = 127 // as a shell has it
	exitInterrupted = 130
	exitNotRun      = 255 // the command could not be run
)

// exitCode is an error that only carries the exit code of a command that ran.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	error
}

func (e exitError) Unwrap() error { return e.error }

// interruption is what a Ctrl-C broke off.
type interruption struct{ error }

func (i interruption) Error() string { return "interrupted; " + i.error.Error() }
func (i interruption) Unwrap() error { return i.error }

// remedied is an error with lines on what can be done about it.
type remedied struct {
	error
	remedies []string
}

func (r remedied) Unwrap() error { return r.error }

// problems is how many lines of mistakes are shown: more are not read.
const problems = 10

// report says what went wrong and what to do, and returns the exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		if i == problems {
			fmt.Fprintf(w, "g8lab: … and %d more\n", len(lines)-problems)
			break
		}
		fmt.Fprintln(w, "g8lab:", line)
	}
	if r, ok := errors.AsType[remedied](err); ok {
		for _, line := range r.remedies {
			fmt.Fprintln(w, "       →", line)
		}
	}
	return codeOf(err)
}

func codeOf(err error) int {
	if e, ok := errors.AsType[exitError](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[interruption](err); ok {
		return exitInterrupted
	}
	return exitFailed
}
