package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/g8os/g8os/lab/grid"
	runs "github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/run/record"
)

// performance is a run that is shown while it goes on, and recorded.
type performance struct {
	grid grid.Grid
	head record.Head
	path string // of the record; empty: none
	hash func() string
	say  func(io.Writer, *runs.Result, record.End) // says what came of it; nil: conclude
	// during does something beside the run, and returns the files it made.
	during func(ctx context.Context) (finish func() ([]string, error), err error)
}

// perform runs, and returns what came of it. An error that is not of the run's
// verdict means that nothing was touched.
func (p performance) perform(ctx context.Context, std streams) (*record.End, error) {
	if err := runs.Check(p.grid, p.head.Schedule, p.head.Options); err != nil {
		return nil, exitError{exitUsage, err}
	}
	w := &record.Writer{}
	if p.path != "" {
		var err error
		if w, err = record.Create(p.path, p.head); err != nil {
			return nil, exitError{exitUsage, err}
		}
	}
	finish, err := p.beside(ctx)
	if err != nil {
		return nil, p.drop(err)
	}
	shown, began, o := newProgress(std.out, p.grid.Fidelity()), time.Now(), p.head.Options
	o.Tell = func(n runs.Note) {
		if p.path != "" {
			w.Note(n)
		}
		shown.tell(n)
	}
	result, err := runs.Run(ctx, p.grid, p.head.Schedule, o)
	shown.clear()
	files, captureErr := finish()
	if err != nil {
		return nil, p.drop(errors.Join(err, captureErr))
	}
	end := endOf(result, time.Since(began), p.hash(), files)
	if p.path != "" {
		captureErr = errors.Join(captureErr, w.End(end))
	}
	if p.say == nil {
		p.say = p.conclude
	}
	p.say(std.out, result, end)
	return &end, errors.Join(captureErr, p.verdict(ctx, result))
}

func (p performance) beside(ctx context.Context) (func() ([]string, error), error) {
	if p.during == nil {
		return func() ([]string, error) { return nil, nil }, nil
	}
	return p.during(ctx)
}

// drop removes the record of a run that never was.
func (p performance) drop(err error) error {
	if p.path != "" {
		err = errors.Join(err, os.Remove(p.path))
	}
	return err
}

func endOf(r *runs.Result, took time.Duration, hash string, files []string) record.End {
	return record.End{
		Verdict: r.Verdict, Why: r.Why, Began: r.Began, Ended: r.Ended, Took: took, Checks: r.Checks, Jobs: r.Jobs,
		Refused: r.Refused, Hash: hash, Captures: files,
	}
}

// maxShown bounds the violations that are printed: the record has them all.
const maxShown = 10

// conclude prints the verdict, what it rests on, and after it what was violated.
func (p performance) conclude(w io.Writer, r *runs.Result, e record.End) {
	fmt.Fprintf(w, "%s: %s in %s, %s, %s, %s", r.Verdict, count(len(r.Faults), "fault"), (r.Ended - r.Began).Round(time.Second),
		count(r.Checks, "check"), count(r.Jobs, "job"), count(len(r.Violations), "violation"))
	if x := e.Speed(); e.Hash != "" {
		fmt.Fprintf(w, "; history %s, %.0f × real time", e.Hash, x)
	}
	fmt.Fprintln(w)
	for i, v := range r.Violations {
		if i == maxShown {
			fmt.Fprintf(w, "  … and %d more\n", len(r.Violations)-maxShown)
			break
		}
		fmt.Fprintf(w, "  %s after it began: %s: %s\n", (v.At - r.Began).Round(time.Millisecond), v.Invariant, v.Text)
	}
	if p.path != "" {
		fmt.Fprintf(w, "record: %s; bin/g8lab report %s makes a page of it\n", p.path, p.path)
	}
}

// verdict is the exit status of a run.
func (p performance) verdict(ctx context.Context, r *runs.Result) error {
	var err error
	switch {
	case r.Verdict == runs.Passed:
		return nil
	case ctx.Err() != nil && r.Verdict == runs.BrokenOff:
		return interruption{errors.New("everything was healed")}
	case r.Verdict == runs.Violated:
		err = fmt.Errorf("%s: what must hold did not", count(len(r.Violations), "violation"))
	default:
		err = fmt.Errorf("the run broke off and proves nothing: %s", r.Why)
	}
	if p.path == "" {
		return err
	}
	return remedied{err, []string{"bin/g8lab report " + p.path + " shows it", "bin/g8lab replay " + p.path + " runs it again"}}
}

// recordPath is a file name for the record of what is run now.
func recordPath(asked, what string, now time.Time) string {
	if asked != "" {
		return asked
	}
	return strings.ReplaceAll(what, " ", "-") + now.Format("-20060102-150405") + record.Extension
}

// beside is a file next to a record, named after it.
func beside(path, suffix string) string {
	return strings.TrimSuffix(path, filepath.Ext(path)) + suffix
}
