package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/lines"
	"github.com/g8os/g8os/internal/table"
)

// cancelWithin is how long a cancel may take before one is told that it failed.
const cancelWithin = 5 * time.Second

// hintAfter is how long nothing happens before one is told what is waited for.
const hintAfter = 3 * time.Second

// jobView is a job as its operator sees it: output as it comes, and what has
// become of it where.
type jobView struct {
	s       *session
	c       *client.Client
	several bool // each line is said to be whose
	leave
	only func(api.JobEvent) (api.JobEvent, bool) // what is shown of the output; nil: all

	mu     sync.Mutex // guards what follows, and both outputs
	job    api.Job    // as it was when it was made; later only its runs change
	states map[api.NodeID]api.JobRun
	merged map[string]*lines.Merger // by stream
	ended  string                   // why an AC shows no more of a job that is not over; empty: it did not
	hint   *time.Timer
}

func newJobView(s *session, c *client.Client, several bool, l leave) *jobView {
	return &jobView{s: s, c: c, several: several, leave: l, states: map[api.NodeID]api.JobRun{}}
}

// run makes a job and shows it to its end. The error says what became of it, with
// the exit status that goes with that.
func (w *jobView) run(req api.JobRequest) error {
	req.ID = client.NewJobID()
	w.hint = time.AfterFunc(hintAfter, w.waits)
	defer w.hint.Stop()
	err := w.lasting().RunJob(w.s.ctx, w.c, req)
	return w.over(req.ID, err)
}

// again shows a job that was made before, from its beginning to its end.
func (w *jobView) again(id string) error {
	w.hint = time.AfterFunc(hintAfter, w.waits)
	defer w.hint.Stop()
	return w.over(id, w.lasting().Follow(w.s.ctx, w.c, id))
}

func (w *jobView) lasting() client.Lasting {
	return client.Lasting{Take: w.take, Lost: func(err error) {
		w.say("%s %s; trying again until Ctrl-C", time.Now().Format(time.TimeOnly), oneLine(err.Error()))
	}, Found: func() { w.say("%s an AC answers again", time.Now().Format(time.TimeOnly)) }}
}

func (w *jobView) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(w.s.stderr, "g8os: "+format+"\n", args...)
}

// over tells how a job has ended, or why it is not followed any more.
func (w *jobView) over(id string, err error) error {
	w.mu.Lock()
	handed := w.job.ID != ""
	flushed := w.flush()
	w.mu.Unlock()
	switch {
	case w.s.ctx.Err() != nil:
		return exitError{exitInterrupted, w.interrupted(id)}
	case err != nil && !handed:
		return exitError{exitNotRun, err}
	case err != nil:
		return exitError{exitNotRun, fmt.Errorf("%w; job %s goes on: g8os job show %s", err, id, id)}
	case w.ended != "":
		return exitError{exitNotRun, fmt.Errorf("job %s is not shown any more: %s", id, oneLine(w.ended))}
	case flushed != nil:
		return flushed
	}
	job := w.result(id)
	w.warn(job)
	if w.several {
		return w.summary(job)
	}
	return verdict(job)
}

// result is the job as it ended: as an AC says, or as far as its events did.
func (w *jobView) result(id string) api.Job {
	ctx, cancel := context.WithTimeout(w.s.ctx, cancelWithin)
	defer cancel()
	job, err := w.c.Job(ctx, id)
	if err == nil && job.Ended != nil {
		return job
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	job = w.job
	job.Runs = nil
	for _, r := range w.states {
		job.Runs = append(job.Runs, r)
	}
	return job
}

// interrupted cancels the job, unless it is to go on, and says which of both.
func (w *jobView) interrupted(id string) error {
	goes := fmt.Sprintf("interrupted; job %s goes on: g8os job logs -f %s, g8os job cancel %s", id, id, id)
	if w.Keep {
		return errors.New(goes)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.s.ctx), cancelWithin)
	defer cancel()
	if _, err := w.c.CancelJob(ctx, id, ""); err != nil {
		if f, ok := errors.AsType[*client.Failure](err); ok && w.job.ID == "" {
			return fmt.Errorf("interrupted before it was handed over (%w)", f)
		}
		return fmt.Errorf("%s, for it could not be cancelled: %w", goes, err)
	}
	return fmt.Errorf("interrupted; the command is being stopped (job %s)", id)
}

// take shows an event.
func (w *jobView) take(e api.JobEvent) error {
	if w.job.ID == "" {
		w.begin(e.Job)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hint != nil {
		w.hint.Reset(hintAfter)
	}
	w.note(e)
	if e.Done {
		w.ended = e.Error
	}
	shown := true
	if w.only != nil && len(e.Data) > 0 {
		e, shown = w.only(e)
	}
	switch {
	case !shown:
		return nil
	case w.Output == "json":
		return json.NewEncoder(w.s.stdout).Encode(e)
	case len(e.Data) > 0:
		return w.write(e)
	case e.State == "" && e.Error != "" && !e.Done: // of output that is missing
		_, err := fmt.Fprintln(w.s.stderr, "g8os:", label(e.Name, e.Node), oneLine(e.Error))
		return err
	case e.State.Ended() && w.several:
		return w.flushOf(label(e.Name, e.Node))
	}
	return nil
}

// takeAll shows events.
func (w *jobView) takeAll(events []api.JobEvent) error {
	for _, e := range events {
		if err := w.take(e); err != nil {
			return err
		}
	}
	return nil
}

// begin asks what the job is, for the names of its nodes; what is not known is
// not needed.
func (w *jobView) begin(id string) {
	job, err := w.c.Job(w.s.ctx, id)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.job = job
	if err != nil {
		w.job.ID = id
	}
	wide := 0
	for _, r := range w.job.Runs {
		w.states[r.Node] = r
		wide = max(wide, utf8.RuneCountInString(label(r.Name, r.Node)))
	}
	colour := func(terminal bool) bool { return terminal && w.s.getenv("NO_COLOR") == "" }
	w.merged = map[string]*lines.Merger{
		"stdout": lines.New(w.s.stdout, wide, colour(table.IsTerminal(w.s.stdout))),
		"stderr": lines.New(w.s.stderr, wide, colour(table.IsTerminal(w.s.stderr))),
	}
}

// note keeps what an event says of a state.
func (w *jobView) note(e api.JobEvent) {
	if e.State == "" || e.Node == "" {
		return
	}
	r := w.states[e.Node]
	r.Node, r.State, r.Code, r.Error = e.Node, e.State, e.Code, e.Error
	if e.Name != "" {
		r.Name = e.Name
	}
	w.states[e.Node] = r
}

// write shows a piece of output; w.mu is held.
func (w *jobView) write(e api.JobEvent) error {
	stream := "stdout"
	if e.Stream == "stderr" {
		stream = "stderr"
	}
	if w.several {
		return w.merged[stream].Write(label(e.Name, e.Node), e.Data)
	}
	to := w.s.stdout
	if stream == "stderr" {
		to = w.s.stderr
	}
	if _, err := to.Write(e.Data); err != nil {
		return fmt.Errorf("write the job's output: %w", err)
	}
	return nil
}

func (w *jobView) flushOf(name string) error {
	return errors.Join(w.merged["stdout"].Flush(name), w.merged["stderr"].Flush(name))
}

// flush writes what of lines is left; w.mu is held.
func (w *jobView) flush() error {
	var failed error
	if w.several && w.merged != nil {
		for _, r := range w.states {
			failed = errors.Join(failed, w.flushOf(label(r.Name, r.Node)))
		}
	}
	return failed
}

// waits says, once nothing has happened for a while, which nodes have not begun.
func (w *jobView) waits() {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, r := range w.states {
		switch {
		case r.State == api.JobRunning:
			return
		case r.State == api.JobQueued:
			names = append(names, label(r.Name, r.Node))
		}
	}
	if len(names) == 0 {
		return
	}
	until := ""
	if !w.job.Expires.IsZero() && time.Until(w.job.Expires) > time.Minute {
		until = fmt.Sprintf(", until %s at the latest", w.job.Expires.Local().Format("2006-01-02 15:04"))
	}
	fmt.Fprintf(w.s.stderr, "g8os: waiting for %s%s: away, or others are before it; g8os job show %s\n", some(names), until, w.job.ID)
}

// label is how a node is called.
func label(name string, id api.NodeID) string {
	if name == "" {
		return string(id)
	}
	return name
}

// shownNames is how many names are listed.
const shownNames = 8

// some lists names in the order in which people count, and how many more there are.
func some(names []string) string {
	sortNames(names)
	if more := len(names) - shownNames; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shownNames], ", "), more)
	}
	return strings.Join(names, ", ")
}

// hand has a job made and leaves it: its id is what is printed.
func (s *session) hand(c *client.Client, req api.JobRequest, output string) error {
	req.Detached = true
	job, err := c.HandJob(s.ctx, req)
	switch {
	case err != nil && s.ctx.Err() != nil:
		return exitError{exitInterrupted, errors.New("interrupted; it may have been handed over: g8os job list")}
	case err != nil:
		return exitError{exitNotRun, err}
	case output == "json":
		return writeJSON(s.stdout, job)
	}
	fmt.Fprintf(s.stderr, "g8os: %s; follow it with g8os job logs -f %s\n", nodesWord(job.Nodes), job.ID)
	_, err = fmt.Fprintln(s.stdout, job.ID)
	return err
}
