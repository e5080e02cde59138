package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

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
// as it comes. Errors are about the way there (ErrUnreachable, *Failure) or the
// job (ErrJob).
func (c *Client) Exec(ctx context.Context, ref string, req api.ExecRequest, o ExecOptions) (code int, err error) {
	q := url.Values{}
	if o.Job != "" {
		q.Set("job", o.Job)
	}
	if !o.Keep {
		q.Set("cancel", "1")
	}
	res, err := c.do(ctx, http.MethodPost, at(api.PathExec, ref)+"?"+q.Encode(), req)
	if err != nil {
		return -1, err
	}
	defer res.Body.Close()
	var end api.ExecEvent
	err = lines(res.Body, func(e api.ExecEvent) error {
		if e.Job != "" && o.Taken != nil {
			o.Taken()
		}
		if e.Done {
			end = e
			return errEnded
		}
		return write(e, o)
	})
	switch {
	case !errors.Is(err, errEnded):
		return -1, err
	case end.Error != "":
		return end.Code, fmt.Errorf("%w: %s", ErrJob, end.Error)
	}
	return end.Code, nil
}

func write(e api.ExecEvent, o ExecOptions) error {
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
