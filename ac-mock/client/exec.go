package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/g8os/g8os/core/api"
)

// ErrJob is wrapped when a job could not be run or did not end as it should:
// its exit code says nothing about the command.
var ErrJob = errors.New("job failed")

// errEnded ends the reading of a job's stream.
var errEnded = errors.New("job has ended")

// ExecOptions says how a job is run.
type ExecOptions struct {
	Job    string // id, so that a repeated request does not run twice; empty: a new one
	Keep   bool   // let the job go on when ctx ends; otherwise it is stopped
	Stdout io.Writer
	Stderr io.Writer
	Taken  func() // called once the AC has taken the job; may be nil
}

// Exec runs a command on a node and returns its exit code. Output is written
// as it comes. Errors are about the way there (ErrUnreachable, ErrLost, *Failure)
// or the job (ErrJob).
func (c *Client) Exec(ctx context.Context, ref string, req api.ExecRequest, o ExecOptions) (code int, err error) {
	run := api.JobRequest{ID: o.Job, To: api.Address{Nodes: []string{ref}}, Exec: req, Detached: o.Keep}
	end := api.JobEvent{Code: -1}
	err = c.RunJob(ctx, run, func(e api.JobEvent) error {
		switch {
		case e.State.Ended():
			end = e
		case e.Done && e.Error != "": // the stream ends, and not the job
			end = e
		case e.Stream != "":
			return write(e, o)
		case e.State == "" && o.Taken != nil:
			o.Taken()
			o.Taken = nil
		}
		return nil
	})
	switch {
	case err != nil:
		return -1, err
	case end.State == api.JobSuccess || end.State == api.JobError && end.Error == "":
		return end.Code, nil
	case end.Error == "":
		return end.Code, fmt.Errorf("%w: it ended as %s", ErrJob, end.State)
	}
	return end.Code, fmt.Errorf("%w: %s", ErrJob, end.Error)
}

func write(e api.JobEvent, o ExecOptions) error {
	to := o.Stdout
	if e.Stream == "stderr" {
		to = o.Stderr
	}
	if to == nil || len(e.Data) == 0 {
		return nil
	}
	if _, err := to.Write(e.Data); err != nil {
		return fmt.Errorf("write %s of the job: %w", e.Stream, err)
	}
	return nil
}
