package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

// begun says whether a node has begun a job that has ended there so.
func begun(s api.JobState) bool {
	return s != api.JobExpired && s != api.JobRefused && s != api.JobCancelled
}

// why says how a job that did not succeed has ended on a node.
func why(r api.JobRun) string {
	switch {
	case r.Error != "":
		return oneLine(r.Error)
	case r.State == api.JobError, r.State == api.JobKilled && r.Code > 0:
		return fmt.Sprintf("exit status %d", r.Code)
	case r.State == api.JobTimeout:
		return "stopped: it ran longer than its timeout"
	case r.State == api.JobExpired:
		return "the node did not take it in time"
	case r.State == api.JobRefused:
		return "the node was away, and it was not to be queued"
	case r.State == api.JobCancelled:
		return "cancelled before it began"
	case r.State == api.JobLost:
		return "it began, and nobody knows how it ended"
	}
	return string(r.State)
}

// remedy says what can be done about a run that did not succeed, or "".
func remedyOf(r api.JobRun) string {
	switch r.State {
	case api.JobRefused:
		return "wait until the node is managed (g8os nodes --watch), or let the job wait for it: --queue 1h"
	case api.JobExpired:
		return "see where the node is (g8os nodes), and try again with a longer --queue: g8os job retry"
	case api.JobLost:
		return "see on the node what it has done before it is done again"
	}
	return ""
}

// verdict is how a job of one node has ended, as an exit status.
func verdict(job api.Job) error {
	if len(job.Runs) == 0 {
		return exitError{exitNotRun, fmt.Errorf("job %s is over, and no AC says how: g8os job show %s", job.ID, job.ID)}
	}
	r := job.Runs[0]
	switch {
	case r.State == api.JobSuccess:
		return nil
	case !begun(r.State) || r.State == api.JobLost || r.Code <= 0 || r.Code > 255:
		return exitError{exitNotRun, client.WithRemedy(fmt.Errorf("job %s on %s: %s", job.ID, label(r.Name, r.Node), why(r)), remedyOf(r))}
	case r.Error != "": // a program that is not there, a timeout
		return exitError{r.Code, fmt.Errorf("job %s on %s: %s", job.ID, label(r.Name, r.Node), why(r))}
	}
	return exitError{code: r.Code}
}

// summary says what became of a job of several nodes, and returns the exit status.
func (w *jobView) summary(job api.Job) error {
	var good, failed, missed int
	because := map[string][]string{}
	for _, r := range job.Runs {
		switch {
		case r.State == api.JobSuccess:
			good++
			continue
		case begun(r.State):
			failed++
		default:
			missed++
		}
		because[why(r)] = append(because[why(r)], label(r.Name, r.Node))
	}
	parts := []string{fmt.Sprintf("%d succeeded", good)}
	if failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", failed))
	}
	if missed > 0 {
		parts = append(parts, fmt.Sprintf("%d not reached", missed))
	}
	fmt.Fprintf(w.s.stderr, "g8os: job %s: of %s %s\n", job.ID, nodesWord(len(job.Runs)), strings.Join(parts, ", "))
	w.reasons(because)
	switch {
	case failed+missed == 0:
		return nil
	case missed == len(job.Runs):
		return exitError{code: exitNotRun}
	}
	return exitError{code: exitFailed}
}

func nodesWord(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// reasons lists why, of whom; what most have in common comes first.
func (w *jobView) reasons(because map[string][]string) {
	t := tabwriter.NewWriter(w.s.stderr, 0, 8, 2, ' ', 0)
	reasons := make([]string, 0, len(because))
	for r := range because {
		reasons = append(reasons, r)
	}
	slices.SortFunc(reasons, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(because[b]), len(because[a])), cmp.Compare(a, b))
	})
	for _, r := range reasons {
		fmt.Fprintf(t, "      %s\t%s\n", r, some(because[r]))
	}
	_ = t.Flush()
}

// warn says what is odd about how a job went.
func (w *jobView) warn(job api.Job) {
	var dropped int64
	var again []string
	for _, r := range job.Runs {
		dropped += r.Dropped
		if r.Duplicate {
			again = append(again, label(r.Name, r.Node))
		}
	}
	if dropped > 0 {
		w.say("%d bytes of output are lost: they were more than is kept", dropped)
	}
	if len(again) > 0 {
		w.say("%s: asked again after a crash, and not run again: what it did is not known", some(again))
	}
}
