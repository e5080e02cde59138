// Package order decides when services are started, started again and stopped.
//
// It is a step function: what happened goes in with the time, what to do comes
// out. It promises that there are never two of one service; that one is started
// once all it comes after are ready; that one that fails holds up only those
// that need it, and their status says so; that it is started again after
// growing pauses, but not more often than its limit allows; and that each ends
// before what it came after. Package services is its shell.
//
// The states, and where they lead:
//
//	waits ──▶ starting ──▶ ready ──▶ ending ──▶ waits, stopped
//	 ▲ │         │ (a oneshot, or one that recurs: running)
//	 │ ▼         ▼
//	blocked    resting, unmet (again after a pause), scheduled (at its time), done, failed
package order

import "time"

// Phase is the state of a service.
type Phase string

// The phases.
const (
	Waits     Phase = "waits"     // for what it comes after
	Blocked   Phase = "blocked"   // something it needs does not run, and will not by itself
	Starting  Phase = "starting"  // runs, and is not ready yet
	Ready     Phase = "ready"     // runs
	Running   Phase = "running"   // the same for one that is meant to end
	Ending    Phase = "ending"    // was told to end
	Resting   Phase = "resting"   // has failed, and is started again after a pause
	Unmet     Phase = "unmet"     // has not failed: a condition is not met, which is looked at again after a pause
	Scheduled Phase = "scheduled" // recurs, and waits for its time
	Done      Phase = "done"      // has done what it was for
	Failed    Phase = "failed"    // and is left alone until told
	Stopped   Phase = "stopped"   // by an operator, or because all are to end
)

// Alive tells whether there is a process in this phase.
func (p Phase) Alive() bool {
	return p == Starting || p == Ready || p == Running || p == Ending
}

// Restart says after which ends a service is started again.
type Restart string

// The rules.
const (
	Always    Restart = "always"
	OnFailure Restart = "on-failure" // also when it is not known how it ended
	Never     Restart = "never"
)

// Schedule says when one that recurs is next. It is asked when a run has ended,
// so that runs do not overlap.
type Schedule interface{ Next(time.Time) time.Time }

// Service is what the order needs to know of one.
type Service struct {
	Name    string
	Version string        // of its declaration: one that runs by another is ended and started anew
	After   []string      // must be ready (a oneshot: done) before it starts
	Limit   time.Duration // from its start until it is ready; 0: no limit
	Restart Restart
	// Pauses between runs double from MinPause to MaxPause. One that was ready
	// for MaxPause begins the row anew.
	MinPause, MaxPause time.Duration
	// More than MaxStarts within Within is a storm: it has failed then. 0: no limit.
	MaxStarts int
	Within    time.Duration
	Oneshot   bool     // is done when it ends well
	Recurs    Schedule // nil: it does not
	AtOnce    bool     // the first run of one that recurs does not wait for its time
}

// Kind is what happened, or what to do.
type Kind string

// What happens.
const (
	Begin    Kind = "begin"    // services may start
	Declare  Kind = "declare"  // Services are all that there are from now on
	Adopted  Kind = "adopted"  // one runs since before Begin
	Answers  Kind = "answers"  // one is ready
	Ended    Kind = "ended"    // one has ended, or could not be started
	Tick     Kind = "tick"     // time passed
	Up       Kind = "start"    // an operator wants one to run
	Down     Kind = "stop"     // an operator wants one not to run
	Again    Kind = "restart"  // an operator wants one to be started anew
	Shutdown Kind = "shutdown" // all are to end
)

// What to do.
const (
	Start Kind = "start" // start it, and say Answers or Ended
	End   Kind = "end"   // end it, and say Ended
	Keep  Kind = "keep"  // its Memory has changed
	Note  Kind = "note"  // Text is an event, of Level
	Over  Kind = "over"  // all have ended after Shutdown
)

// Levels of notes, as api has them.
const (
	LevelWarning = 7
	LevelError   = 8
)

// Event is what happened.
type Event struct {
	Kind     Kind
	Name     string
	Services []Service         // Declare
	Known    map[string]Memory // Declare: what an earlier core left, for those that are new
	Exit     Exit              // Ended
}

// Effect is what to do with a service.
type Effect struct {
	Kind  Kind
	Name  string
	Level int
	Text  string
}

// Exit is how a run ended.
type Exit struct {
	Known bool   // Code says how
	Code  int    // 128+n after signal n
	Why   string // for a person
	Unmet bool   // it was not started: a condition is not met
}

func (x Exit) ok() bool { return x.Known && x.Code == 0 }

// Result is a run that is over.
type Result struct {
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended"`
	Known   bool      `json:"known"`
	Code    int       `json:"code"`
	Why     string    `json:"why,omitempty"`
}

// Memory is what outlives a core: what Declare needs to go on where the last
// one was.
type Memory struct {
	Version  string        `json:"version"`
	Phase    Phase         `json:"phase"`
	Stopped  bool          `json:"stopped,omitempty"` // by an operator
	Why      string        `json:"why,omitempty"`
	Since    time.Time     `json:"since,omitzero"`
	Began    time.Time     `json:"began,omitzero"` // of the run
	Next     time.Time     `json:"next,omitzero"`  // resting, unmet, scheduled
	Pause    time.Duration `json:"pause,omitempty"`
	Starts   []time.Time   `json:"starts,omitempty"` // within the limit's time
	Restarts int           `json:"restarts,omitempty"`
	Last     *Result       `json:"last,omitempty"`
}

// State is how a service is, for a person.
type State struct {
	Name   string
	After  []string
	Recurs bool
	Memory
}

type service struct {
	decl Service
	Memory
	again   bool // to be started anew once it has ended
	removed bool // is not declared any more
	late    bool // was ended because it did not become ready, or could not
}

// Machine is the order of some services.
type Machine struct {
	all      []*service // as declared
	byName   map[string]*service
	begun    bool
	stopping bool
	over     bool
	effects  []Effect
}

// New returns a machine without services; nothing is started before Begin.
func New() *Machine { return &Machine{byName: map[string]*service{}} }

// Step takes in what happened, and returns what to do, and when to say Tick;
// zero: no need.
func (m *Machine) Step(now time.Time, e Event) (effects []Effect, next time.Time) {
	m.effects = nil
	before := m.memories()
	m.take(now, e)
	for m.settle(now) { // what one does may be what another waits for
	}
	m.finish()
	for _, s := range m.all {
		if !same(before[s.decl.Name], s.Memory) {
			m.effects = append(m.effects, Effect{Kind: Keep, Name: s.decl.Name})
		}
		if due := s.due(); m.begun && !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	return m.effects, next
}

func (m *Machine) memories() map[string]Memory {
	known := make(map[string]Memory, len(m.all))
	for _, s := range m.all {
		known[s.decl.Name] = s.Memory
	}
	return known
}

func same(a, b Memory) bool {
	return a.Version == b.Version && a.Phase == b.Phase && a.Stopped == b.Stopped && a.Why == b.Why && a.Since.Equal(b.Since) && a.Began.Equal(b.Began) &&
		a.Next.Equal(b.Next) && a.Pause == b.Pause && len(a.Starts) == len(b.Starts) && a.Restarts == b.Restarts && a.Last == b.Last
}

func (m *Machine) take(now time.Time, e Event) {
	switch e.Kind {
	case Begin:
		m.begun = true
		return
	case Shutdown:
		m.stopping = true
		return
	case Declare:
		m.declare(now, e.Services, e.Known)
		return
	}
	s := m.byName[e.Name]
	if s == nil {
		return
	}
	switch e.Kind {
	case Adopted:
		s.adopted(now)
	case Answers:
		s.answers(now)
	case Ended:
		m.ended(now, s, e.Exit)
	case Up:
		s.wanted(now)
	case Down:
		s.Stopped = true
	case Again:
		s.wanted(now)
		s.again = s.Phase.Alive()
	}
}

// States tells how all are, as declared.
func (m *Machine) States() []State {
	states := make([]State, len(m.all))
	for i, s := range m.all {
		states[i] = State{s.decl.Name, s.decl.After, s.decl.Recurs != nil, s.Memory}
	}
	return states
}

// State tells how one is.
func (m *Machine) State(name string) (State, bool) {
	s := m.byName[name]
	if s == nil {
		return State{}, false
	}
	return State{s.decl.Name, s.decl.After, s.decl.Recurs != nil, s.Memory}, true
}
