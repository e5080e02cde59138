// Package agenda decides what a run of faults does next: let time pass, add a
// fault, heal one, check, start a job, heal everything, judge.
//
//	starting ──all managed──▶ faulting ──last fault over──▶ settling ──all well, or too late──▶ ended
//
// It promises that the same schedule, told the same answers at the same times,
// asks for the same steps: it is a step function without a clock. It does
// nothing itself; lab/run does what it says.
package agenda

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/invariant"
)

// Options say what a run consists of. Times are of the grid.
type Options struct {
	Schedule fault.Schedule
	// For is how long faults may come, at least; a longer schedule is run to its end.
	For time.Duration
	// Every is how often the grid is checked.
	Every time.Duration
	// Settle is how long the grid has, after everything was healed, until every
	// node is managed, every job is told of and no address is shared.
	Settle time.Duration
	// Ready is how long every node that is not excused has to be managed before
	// the schedule begins; 0: it begins at once.
	Ready time.Duration
	// Jobs is how often a job is started on some managed node, about; 0: never.
	Jobs time.Duration
	// Seed draws when and where jobs are started, and nothing else.
	Seed uint64
	// Excused are nodes that need not be managed in the end.
	Excused []string
	// Well says what else has to hold before the grid has recovered; nil: nothing.
	Well func(grid.Facts) bool
}

// What a step may be.
const (
	Wait    = "wait"     // until Until
	Check   = "check"    // look at the grid, and tell Checked
	Add     = "add"      // put entry Entry of the schedule into force, and tell Added
	Heal    = "heal"     // end the fault ID
	Job     = "job"      // start one, where Pick says
	HealAll = "heal all" // what is in force still
	Judge   = "judge"    // look at the grid for the last time
	End     = "end"      // Why says why, if it is not the end that was meant
)

// Step is what is to be done next.
type Step struct {
	Do    string
	Until time.Duration
	Entry int
	ID    string
	Why   string
}

// stages of a run.
const (
	starting = iota
	faulting
	settling
	ended
)

// heal is a fault that is in force and when it is to end.
type heal struct {
	at time.Duration
	id string
}

// Agenda is how far a run has come.
type Agenda struct {
	o        Options
	stage    int
	began    time.Duration // when the schedule began
	deadline time.Duration // of starting and settling
	entry    int           // the next of the schedule
	heals    []heal        // by time
	check    time.Duration // when the next is due
	fresh    bool          // nothing has happened since the last check
	well     bool          // as the last check found it
	since    time.Duration // it has been well
	where    string        // where the nodes were when the last check before the schedule found them
	job      time.Duration
	jobs     int
	random   *rand.Rand
}

// jobStream keeps the draws of jobs apart from what else a seed is used for.
const jobStream = 0x6a6f6273

// New makes the agenda of a run that begins now.
func New(o Options, now time.Duration) *Agenda {
	a := &Agenda{o: o, check: now, random: rand.New(rand.NewPCG(o.Seed, jobStream))}
	if a.deadline = now + o.Ready; o.Ready == 0 {
		a.begin(now)
	}
	return a
}

func (a *Agenda) begin(now time.Duration) {
	a.stage, a.began = faulting, now
	a.job = now + a.pause()
}

// pause until the next job: half to one and a half times what was asked for.
func (a *Agenda) pause() time.Duration {
	if a.o.Jobs <= 0 {
		return 0
	}
	return a.o.Jobs/2 + time.Duration(a.random.Int64N(int64(a.o.Jobs)+1))
}

// Began is when the schedule did: its times count from there. It means nothing
// before.
func (a *Agenda) Began() time.Duration { return a.began }

// Next says what to do now.
func (a *Agenda) Next(now time.Duration) Step {
	switch a.stage {
	case starting:
		return a.start(now)
	case faulting:
		return a.fault(now)
	case settling:
		return a.settle(now)
	}
	return Step{Do: End}
}

// start leads to faulting, or to the end.
func (a *Agenda) start(now time.Duration) Step {
	switch {
	case a.well:
		a.begin(now)
		return a.fault(now)
	case now >= a.deadline:
		a.stage = ended
		return Step{Do: End, Why: fmt.Sprintf("not every node was managed within %s, so nothing was begun: %s", a.o.Ready, a.where)}
	}
	return a.checkOr(now, a.deadline)
}

// fault leads to settling.
func (a *Agenda) fault(now time.Duration) Step {
	end := a.end()
	next := end
	if len(a.heals) > 0 {
		if h := a.heals[0]; h.at <= now {
			a.heals, a.fresh = a.heals[1:], false
			return Step{Do: Heal, ID: h.id}
		}
		next = min(next, a.heals[0].at)
	}
	if a.entry < len(a.o.Schedule) {
		at := a.began + time.Duration(a.o.Schedule[a.entry].At)
		if at <= now {
			return a.add()
		}
		next = min(next, at)
	}
	if a.o.Jobs > 0 && now < end {
		if a.job <= now {
			a.job = now + a.pause()
			return Step{Do: Job}
		}
		next = min(next, a.job)
	}
	if a.entry == len(a.o.Schedule) && now >= end {
		a.stage, a.deadline, a.fresh, a.well, a.check = settling, now+a.o.Settle, false, false, now
		return Step{Do: HealAll}
	}
	return a.checkOr(now, max(next, now))
}

// end is when the last fault will be over, as far as can be told now.
func (a *Agenda) end() time.Duration {
	end := a.began + max(a.o.Schedule.Span(), a.o.For)
	if n := len(a.heals); n > 0 {
		end = max(end, a.heals[n-1].at)
	}
	return end
}

// add is preceded by a check: what happened before a fault must not be excused by it.
func (a *Agenda) add() Step {
	if !a.fresh {
		return Step{Do: Check}
	}
	a.entry++
	return Step{Do: Add, Entry: a.entry - 1}
}

// quiet is the part of Settle for which all must have been well in the end: a
// node needs a while to notice that it has lost something.
const quiet = 6

// settle leads to the end.
func (a *Agenda) settle(now time.Duration) Step {
	if a.well && now-a.since >= a.o.Settle/quiet || now >= a.deadline {
		a.stage = ended
		return Step{Do: Judge}
	}
	return a.checkOr(now, a.deadline)
}

// checkOr checks if it is time, and otherwise waits until it is, or until then.
func (a *Agenda) checkOr(now, then time.Duration) Step {
	if a.check <= now {
		return Step{Do: Check}
	}
	a.fresh = false
	return Step{Do: Wait, Until: min(a.check, then)}
}

// Added tells that an entry of the schedule is in force since now, as id. One
// that was refused is not told of.
func (a *Agenda) Added(now time.Duration, entry int, id string) {
	f := a.o.Schedule[entry].Fault
	if f.For <= 0 {
		return
	}
	h := heal{now + time.Duration(f.For), id}
	at := slices.IndexFunc(a.heals, func(other heal) bool { return other.at > h.at })
	if at < 0 {
		at = len(a.heals)
	}
	a.heals = slices.Insert(a.heals, at, h)
}

// Checked tells what a check has found, and when it was done.
func (a *Agenda) Checked(now time.Duration, f grid.Facts) {
	a.check, a.fresh = now+a.o.Every, true
	well := a.allWell(f)
	if a.stage == starting {
		a.where = grid.Whereabouts(f.Nodes)
	}
	if well && !a.well {
		a.since = now
	}
	a.well = well
}

func (a *Agenda) allWell(f grid.Facts) bool {
	if slices.ContainsFunc(f.Nodes, a.late) {
		return false
	}
	if slices.ContainsFunc(f.Jobs, func(j grid.Job) bool { return !j.Told }) {
		return false
	}
	return len(invariant.Shared(f)) == 0 && (a.o.Well == nil || a.stage != settling || a.o.Well(f))
}

// late says whether a node is not managed and ought to be: before a run begins
// each, afterwards one with power.
func (a *Agenda) late(n grid.Node) bool {
	return !n.Managed() && (n.Powered || a.stage == starting) && !slices.Contains(a.o.Excused, n.Name)
}

// Pick says on which of the nodes a job is to be started and what its id is;
// false when none is managed.
func (a *Agenda) Pick(nodes []grid.Node) (node, id string, ok bool) {
	managed := slices.DeleteFunc(slices.Clone(nodes), func(n grid.Node) bool { return !n.Managed() })
	at := a.random.IntN(max(len(managed), 1)) // also when there is none, so that later draws stay where they are
	if len(managed) == 0 {
		return "", "", false
	}
	a.jobs++
	return managed[at].Name, fmt.Sprintf("run-%d-%d", a.began.Milliseconds(), a.jobs), true
}
