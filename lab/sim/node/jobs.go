package node

import (
	"errors"
	"strconv"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/managed/ledger"
	"github.com/g8os/g8os/lab/sim/engine"
)

var errGivenUp = errors.New("given up")

// job is a command that runs: it lasts for a time and says some words.
type job struct {
	proc *engine.Proc
}

// Pieces is how many pieces of output a job has.
const Pieces = 3

// Argv is the command line of a simulated job.
func Argv(lasts time.Duration) []string { return []string{"job", lasts.String()} }

// handOut takes a job from the AC, and runs it if the ledger says so.
func (c *core) handOut(id string, req api.ExecRequest, have uint64) {
	if c.ledger.HandOut(id, have) != ledger.Start {
		c.o.Watcher.Reach(JobAgain)
		return
	}
	c.o.Watcher.JobStarted(c.Node, id)
	lasts := time.Second
	if len(req.Argv) > 1 {
		if d, err := time.ParseDuration(req.Argv[1]); err == nil {
			lasts = d
		}
	}
	j := &job{}
	c.jobs[id] = j
	j.proc = c.e.Go(func(p *engine.Proc) {
		for n := range Pieces {
			engine.Await(p, func(answer func(struct{})) { c.after(lasts/Pieces, func() { answer(struct{}{}) }) })
			c.ledger.Output(id, "stdout", []byte(strconv.Itoa(n)))
			c.flush()
		}
		c.ledger.End(id, 0, nil)
		delete(c.jobs, id)
		c.flush()
	}, nil)
}

// flush lets the session send what is new.
func (c *core) flush() {
	for _, s := range c.sessions { // one of them has the ledger's number; the others send nothing
		s.send()
	}
}
