// Package doctor says what this machine can do for a lab, and proves each line
// by doing it: it boots a kernel, drops a tenth of a thousand pings, clones a
// machine.
//
// It promises: a line is told as soon as it is known; every check has a
// deadline; nothing is left behind, also when it is killed, because what it
// makes lives in namespaces of a child that dies with it (sandbox.go) or is a
// child itself. Only what a lab cannot do without counts as a failure; for
// everything else it says what is used instead.
//
// It repairs nothing.
package doctor

import (
	"context"
	"fmt"
	"time"
)

// State is what became of a check.
type State string

// States of a check.
const (
	OK     State = "ok"
	Absent State = "absent" // a lab does without, in the way the line says
	Broken State = "broken" // a lab needs it
)

// Result is one line.
type Result struct {
	Name    string  `json:"name"`
	State   State   `json:"state"`
	Found   string  `json:"found"`            // what was seen, with its figure
	Remedy  string  `json:"remedy,omitempty"` // what to do, or what is used instead
	Seconds float64 `json:"seconds"`          // the check took
}

// Options say where things are.
type Options struct {
	Kernel string // vmlinuz to boot; "": the checks that boot one say so
	Initrd string // of the image, for the clone
	Cache  string // where templates and the verdict on acceleration are kept
	// Programs is the folder with g8os_ac and what clones become their template by.
	Programs string
	// Tell gets every result as soon as it is there. Never nil.
	Tell func(Result)
}

// check is one thing to prove. do returns what was seen, or why not.
type check struct {
	name   string
	needed bool
	within time.Duration
	remedy string // told when it fails
	do     func(ctx context.Context) (found string, err error)
}

// Run makes all checks and returns what they gave.
func Run(ctx context.Context, o Options) ([]Result, error) {
	var all []Result
	tell := func(r Result) {
		all = append(all, r)
		o.Tell(r)
	}
	if err := network(ctx, tell); err != nil {
		return all, err
	}
	for _, c := range append(hostChecks(o), machineChecks(o)...) {
		if err := ctx.Err(); err != nil {
			return all, err
		}
		tell(c.run(ctx))
	}
	return all, nil
}

// Failed reports whether something a lab needs is missing.
func Failed(all []Result) bool {
	for _, r := range all {
		if r.State == Broken {
			return true
		}
	}
	return false
}

func (c check) run(ctx context.Context) Result {
	ctx, cancel := context.WithTimeout(ctx, c.within)
	defer cancel()
	begun := time.Now()
	found, err := c.do(ctx)
	r := Result{Name: c.name, State: OK, Found: found, Seconds: time.Since(begun).Seconds()}
	if err == nil {
		return r
	}
	r.State, r.Found, r.Remedy = Absent, oneLine(err), c.remedy
	if c.needed {
		r.State = Broken
	}
	return r
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
