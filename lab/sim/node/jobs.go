package node

import (
	"math"
	"strconv"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/jobs/ledger"
)

// program is a job's command, and what the disk has of it: that it has begun and
// how it ended, both synced, and what it said, which a power cut takes. It goes
// on while no g8os_core runs.
type program struct {
	id    string
	begun time.Time
	said  uint64 // pieces
	over  bool
	gone  bool      // the power was cut while it ran
	exit  api.Frame // as the disk has it; Type is empty: it has none
	told  bool
}

// Pieces is how many pieces of output a job has.
const Pieces = 3

// Argv is the command line of a simulated job.
func Argv(lasts time.Duration) []string { return []string{"job", lasts.String()} }

// handOut takes a job from the AC, and runs it if the ledger says so.
func (c *core) handOut(f api.Frame) {
	switch c.ledger.HandOut(f.Job, f.Seq, f.State == api.JobRunning, c.Now()) {
	case ledger.Start:
		c.launch(f)
	case ledger.Lost:
		c.o.Watcher.Reach(JobAgain)
		p := &program{id: f.Job, begun: c.Now(), gone: true}
		c.programs = append(c.programs, p)
		c.keep(p, c.ledger.Exit(f.Job))
	default:
		c.o.Watcher.Reach(JobAgain)
	}
}

func (c *core) launch(f api.Frame) {
	lasts := time.Second
	if len(f.Exec.Argv) > 1 {
		if d, err := time.ParseDuration(f.Exec.Argv[1]); err == nil {
			lasts = d
		}
	}
	p := &program{id: f.Job, begun: c.Now()}
	c.programs = append(c.programs, p)
	c.ledger.Begin(p.id, p.begun)
	c.o.Watcher.JobStarted(c.Node, p.id)
	c.Node.goOn(p, lasts/Pieces)
}

// goOn has a program say its next piece after a time, or end.
func (n *Node) goOn(p *program, pause time.Duration) {
	n.e.After(pause, func() {
		if p.gone {
			return
		}
		p.said++
		p.over = p.said == Pieces
		if c := n.core; c != nil {
			c.resumes(func() { c.hear(p) })
		}
		if !p.over {
			n.goOn(p, pause)
		}
	})
}

// hear takes in how far a program has come.
func (c *core) hear(p *program) {
	if !c.ledger.Runs(p.id) {
		return
	}
	c.ledger.More(p.id, p.said)
	if p.over {
		c.end(p, ledger.Result{State: api.JobSuccess, At: c.Now()})
	}
	c.flush()
}

func (c *core) end(p *program, r ledger.Result) { c.keep(p, c.ledger.End(p.id, r)) }

func (c *core) keep(p *program, exit api.Frame) {
	p.exit = exit
	c.ledger.Safe(p.id)
}

// restore takes in what an earlier g8os_core has left on the disk.
func (c *core) restore() {
	for _, p := range c.programs {
		c.ledger.Restore(ledger.Restored{ID: p.id, Last: p.said, Started: p.begun, Exit: p.exit, Told: p.told})
		switch {
		case p.exit.Type != "":
		case p.gone:
			c.end(p, ledger.Result{State: api.JobLost, Code: 255, Err: ledger.ErrLost, At: c.Now()})
		case p.over:
			c.end(p, ledger.Result{State: api.JobSuccess, At: c.Now()})
		}
	}
}

// unplug ends what runs, as a power cut does, and loses what was not synced.
func (n *Node) unplug() {
	for _, p := range n.programs {
		p.said, p.gone = 0, true
	}
}

func (c *core) ack(job string, seq uint64) {
	if !c.ledger.Ack(job, seq) {
		return
	}
	for _, p := range c.programs {
		if p.id == job {
			p.told = true
		}
	}
}

// next is what a session is to send now.
func (c *core) next(session int) (api.Frame, bool) {
	for {
		f, ok := c.ledger.Next(session)
		if !ok || f.Type != api.FrameOutput {
			return f, ok
		}
		for _, p := range c.programs {
			if p.id == f.Job && f.Seq <= p.said {
				f.Stream, f.Data = "stdout", []byte(strconv.FormatUint(f.Seq-1, 10))
				c.ledger.Sent(session, f.Job, f.Seq, len(f.Data))
				return f, true
			}
		}
		c.ledger.Sent(session, f.Job, math.MaxUint64, 0) // a power cut took it
	}
}

// flush lets the session send what is new.
func (c *core) flush() {
	for _, s := range c.sessions { // one of them has the ledger's number; the others send nothing
		s.send()
	}
}
