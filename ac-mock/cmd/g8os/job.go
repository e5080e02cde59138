package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/table"
)

type jobCmd struct {
	List   jobListCmd   `cmd:"" help:"List jobs, the newest first."`
	Show   jobShowCmd   `cmd:"" help:"Show what became of a job on each of its nodes."`
	Logs   jobLogsCmd   `cmd:"" help:"Print what a job said, or says."`
	Cancel jobCancelCmd `cmd:"" help:"Stop a job, on all of its nodes or on one; where it has ended nothing changes."`
	Retry  jobRetryCmd  `cmd:"" help:"Run a job again, on those nodes where it did not succeed."`
}

type jobListCmd struct {
	State  string `help:"Only jobs that are so on a node: queued, running, success, error, timeout, killed, expired, lost, refused, cancelled." enum:",queued,running,success,error,timeout,killed,expired,lost,refused,cancelled" default:"" placeholder:"STATE"`
	Node   string `help:"Only jobs of this node (id, MAC or host name)." placeholder:"NODE"`
	Mine   bool   `help:"Only those that you made."`
	Limit  int    `short:"n" default:"50" help:"At most so many of the newest; 0: all that are kept."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

func (jobListCmd) Help() string {
	return `Jobs that are over are remembered for a week.

  g8os job list --state running
  g8os job list --mine --node office-1 -o json`
}

func (j *jobListCmd) Run(s *session) error {
	if j.Limit < 0 {
		return exitError{exitUsage, fmt.Errorf("-n %d: want 0 (all) or more", j.Limit)}
	}
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	q := client.JobsQuery{State: api.JobState(j.State), Node: j.Node, Limit: j.Limit}
	if j.Mine {
		q.Limit = 0 // the AC does not know which
	}
	list, err := c.Jobs(s.ctx, q)
	if err != nil {
		return err
	}
	if j.Mine {
		list = slices.DeleteFunc(list, func(job api.Job) bool { return job.By != c.Identity() })
		if j.Limit > 0 {
			list = list[:min(len(list), j.Limit)]
		}
	}
	if j.Output == "json" {
		return writeJSON(s.stdout, list)
	}
	return jobTable(s.stdout, list, time.Now())
}

func jobTable(w io.Writer, list []api.Job, now time.Time) error {
	t := table.Table{Head: []string{"JOB", "AGE", "BY", "COMMAND", "NODES", "STATE"}, Wraps: true, Dispensable: []string{"BY", "NODES"}}
	for _, j := range list {
		t.Rows = append(t.Rows, []string{
			j.ID, short(max(0, now.Sub(j.Created))), shortName(j.By), orDash(api.Shown(j.Command, 32)), fmt.Sprint(j.Nodes), standing(j),
		})
	}
	return t.Print(w)
}

// shortName is an operator without the grid and role, which are in -o json.
func shortName(by string) string {
	if _, name, ok := strings.Cut(by, "/operator/"); ok {
		if _, bare, ok := strings.Cut(name, "."); ok {
			return bare
		}
		return name
	}
	return orDash(by)
}

// states in the order in which they are told.
var states = []api.JobState{
	api.JobRunning, api.JobQueued, api.JobSuccess, api.JobError, api.JobTimeout, api.JobKilled, api.JobExpired, api.JobLost, api.JobRefused, api.JobCancelled,
}

// standing says how a job stands: on how many nodes it is how.
func standing(j api.Job) string {
	var parts []string
	for _, s := range states {
		switch n := j.Counts[s]; {
		case n > 0 && n == j.Nodes:
			return string(s)
		case n > 0:
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return orDash(strings.Join(parts, ", "))
}

type ofJob struct {
	Job    string `arg:"" help:"The job's id."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// show prints a job.
func (o *ofJob) show(s *session, j api.Job) error {
	if o.Output == "json" {
		return writeJSON(s.stdout, j)
	}
	return jobSheet(s.stdout, j, time.Now())
}

type jobShowCmd struct{ ofJob }

func (j *jobShowCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	job, err := c.Job(s.ctx, j.Job)
	if err != nil {
		return err
	}
	return j.show(s, job)
}

func jobSheet(w io.Writer, j api.Job, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	ended := "-"
	if j.Ended != nil {
		ended = ago(j.Ended, now)
	}
	for _, row := range [][2]string{
		{"job", j.ID}, {"command", api.Shown(j.Command, 64)}, {"by", j.By}, {"for", meant(j.To)}, {"made", ago(&j.Created, now)},
		{"begins until", j.Expires.Local().Format("2006-01-02 15:04:05")}, {"queue", j.Queue}, {"retry of", j.RetryOf}, {"state", standing(j)}, {"ended", ended},
	} {
		fmt.Fprintf(t, "%s\t%s\n", row[0], orDash(row[1]))
	}
	if err := t.Flush(); err != nil || len(j.Runs) == 0 {
		return err
	}
	fmt.Fprintln(w)
	runs := table.Table{Head: []string{"NODE", "STATE", "CODE", "BEGAN", "TOOK", "WHY"}, Wraps: true}
	slices.SortFunc(j.Runs, func(a, b api.JobRun) int { return countedNames(label(a.Name, a.Node), label(b.Name, b.Node)) })
	for _, r := range j.Runs {
		runs.Rows = append(runs.Rows, runRow(r, now))
	}
	return runs.Print(w)
}

func runRow(r api.JobRun, now time.Time) []string {
	code, took, because := "-", "-", "-"
	if r.State.Ended() && begun(r.State) && r.State != api.JobLost {
		code = fmt.Sprint(r.Code)
	}
	if r.Started != nil && r.Ended != nil {
		took = r.Ended.Sub(*r.Started).Round(time.Millisecond).String()
	}
	if r.State.Ended() && r.State != api.JobSuccess {
		because = why(r)
	}
	if r.Duplicate {
		because += "; asked again after a crash, and not run again"
	}
	if r.Dropped > 0 {
		because += fmt.Sprintf("; %d bytes of output are lost", r.Dropped)
	}
	return []string{label(r.Name, r.Node), string(r.State), code, ago(r.Started, now), took, because}
}

// meant is an address as it is typed.
func meant(to api.Address) string {
	switch {
	case to.All:
		return "--all"
	case len(to.Roles) > 0:
		return strings.TrimSpace("--role " + strings.Join(to.Roles, ",") + " " + strings.Join(to.Nodes, ","))
	}
	return strings.Join(to.Nodes, ",")
}

type jobCancelCmd struct {
	ofJob
	Node string `help:"Only on this node (id, MAC or host name)." placeholder:"NODE"`
}

func (j *jobCancelCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	job, err := c.CancelJob(s.ctx, j.Job, j.Node)
	if err != nil {
		return err
	}
	return j.show(s, job)
}

type jobRetryCmd struct {
	leave
	Job string `arg:"" help:"The job's id."`
}

func (jobRetryCmd) Help() string {
	return `A new job is made, and shown as exec shows one; Ctrl-C and exit status are the same too.

  g8os job retry NJ5Q2KXWB4DO6P7A
  g8os job retry -d NJ5Q2KXWB4DO6P7A     # only the new id`
}

func (j *jobRetryCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return exitError{exitNotRun, err}
	}
	defer c.Close()
	job, err := c.RetryJob(s.ctx, j.Job)
	switch {
	case err != nil:
		return exitError{exitNotRun, err}
	case j.Detach && j.Output == "json":
		return writeJSON(s.stdout, job)
	case j.Detach:
		_, err = fmt.Fprintln(s.stdout, job.ID)
		return err
	}
	return newJobView(s, c, several(job.To) || job.Nodes > 1, j.leave).again(job.ID)
}
