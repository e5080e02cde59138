package main

import (
	"errors"
	"fmt"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

type jobLogsCmd struct {
	Job    string `arg:"" help:"The job's id."`
	Follow bool   `short:"f" help:"Go on until the job is over everywhere."`
	Node   string `help:"Only of this node (id, MAC or host name)." placeholder:"NODE"`
	Stderr bool   `help:"Only what was written to stderr."`
	Level  string `help:"Only what the program wrote with one of these levels (7::TEXT, or 8::: … :::), such as 7-9." placeholder:"LEVEL[-LEVEL]"`
	Output string `short:"o" enum:"text,json" default:"text" help:"text, or json: one event a line."`
}

func (jobLogsCmd) Help() string {
	return `Of a job of several nodes each line has the node's name before it, unless --node. Ctrl-C ends the
following, not the job. Exit status: 0, whatever became of the job (g8os job show).

  g8os job logs NJ5Q2KXWB4DO6P7A
  g8os job logs -f NJ5Q2KXWB4DO6P7A --node office-1
  g8os job logs NJ5Q2KXWB4DO6P7A --level 7-9     # warnings and worse`
}

func (j *jobLogsCmd) Run(s *session) error {
	var levels *leveled
	if j.Level != "" {
		var err error
		if levels, err = parseLevels(j.Level); err != nil {
			return err
		}
	}
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	job, err := c.Job(s.ctx, j.Job)
	if err != nil {
		return err
	}
	only, err := j.filter(s, c, levels)
	if err != nil {
		return err
	}
	w := newJobView(s, c, (several(job.To) || job.Nodes > 1) && j.Node == "", leave{Output: j.Output})
	w.only = only
	if j.Follow {
		err = w.lasting().Follow(s.ctx, c, j.Job)
	} else {
		err = c.JobEvents(s.ctx, j.Job, "", w.take)
	}
	if levels != nil && err == nil {
		w.only = nil
		err = w.takeAll(levels.rest())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended != "" && err == nil {
		err = fmt.Errorf("job %s is not shown any more: %s", j.Job, oneLine(w.ended))
	}
	return errors.Join(err, w.flush())
}

// filter says which events are wanted.
func (j *jobLogsCmd) filter(s *session, c *client.Client, levels *leveled) (func(api.JobEvent) (api.JobEvent, bool), error) {
	var of api.NodeID
	if j.Node != "" {
		n, err := c.Node(s.ctx, j.Node)
		if err != nil {
			return nil, err
		}
		of = n.ID
	}
	return func(e api.JobEvent) (api.JobEvent, bool) {
		if of != "" && e.Node != of || j.Stderr && e.Stream != "stderr" {
			return e, false
		}
		if levels != nil {
			return levels.pick(e)
		}
		return e, true
	}, nil
}
