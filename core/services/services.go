// Package services is the supervisor of a node: of the apps that are declared in
// files, of sshd (package ssh), and, in PID 1, of what the tools layer brings.
//
// Package order decides; here goroutines start, adopt, watch and end what
// package runtime stands for. It promises that services outlive g8os_core
// (Leave), which finds them again by pid and start time, with their counters
// and with what an operator wanted (Declare); that all end in order (Shutdown);
// and that one that runs costs nothing: nobody asks it how it is, and no thread
// waits for it.
package services

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/services/order"
	"github.com/g8os/g8os/core/services/runtime"
)

// ErrUnknown is wrapped when there is no service of a name.
var ErrUnknown = errors.New("there is no such service")

// Service is one to run.
type Service struct {
	order.Service
	File    string // where it is declared; empty: in g8os_core
	Runtime runtime.Runtime
	Prepare func(context.Context) error // before every start; nil: nothing
}

// Options of a supervisor.
type Options struct {
	RunDir string // NAME.state: gone after a reboot; empty: nothing is remembered
	// Desired is a file that outlives a reboot: what operators have stopped.
	// Empty: they cannot, for longer than a core lives.
	Desired string
	// Note tells of an event: a service fails, or again and again. nil: nobody
	// wants to know. It must not call back.
	Note    func(level int, service, text string)
	Changed func()            // how they are has changed; nil: as above
	Ready   func(name string) // one is ready, also after it was started again; nil: as above
	// Stray is what runs without a declaration; nil: such things cannot be.
	Stray func(name string) runtime.Runtime
	Log   *slog.Logger
}

// Supervisor runs services. Its methods may be called from anywhere.
type Supervisor struct {
	o    Options
	ctx  context.Context // ends when they are left
	quit context.CancelFunc
	over chan struct{} // closed when all have ended after Shutdown
	live sync.WaitGroup

	declaring sync.Mutex // held by Declare

	mu      sync.Mutex
	machine *order.Machine
	all     map[string]Service
	lives   map[string]*life
	stopped []string // as Desired has it
	begun   bool
	down    bool // Shutdown was asked for
	timer   *time.Timer
	changed chan struct{} // closed, and made anew, at every step
}

// New returns a supervisor without services.
func New(o Options) *Supervisor {
	s := &Supervisor{o: o, over: make(chan struct{}), machine: order.New(), all: map[string]Service{}, lives: map[string]*life{}, changed: make(chan struct{})}
	s.ctx, s.quit = context.WithCancel(context.Background())
	return s
}

// Declare makes a list the services that there are: new ones are started,
// or adopted, those that are not in it end, and those that changed are started
// anew. In keep are names that end and begin nothing: nobody knows what they
// should be.
func (s *Supervisor) Declare(services []Service, keep ...string) {
	s.declaring.Lock()
	defer s.declaring.Unlock()
	fresh, known := s.recall(services)
	plain := make([]order.Service, len(services))
	s.mu.Lock()
	all := map[string]Service{}
	for i, d := range services {
		all[d.Name], plain[i] = d, d.Service
	}
	for name, d := range s.all { // needed until it has ended
		if _, still := all[name]; !still {
			all[name] = d
		}
	}
	s.all = all
	for name, l := range fresh {
		s.lives[name] = l
	}
	s.step(order.Event{Kind: order.Declare, Services: plain, Known: known})
	for _, name := range sorted(known) {
		s.takeOver(name, known[name], fresh[name])
	}
	if !s.begun {
		s.begun = true
		s.step(order.Event{Kind: order.Begin})
	}
	s.mu.Unlock()
	s.endStrays(services, keep)
}

// takeOver goes on with one that ran when the last core ended.
func (s *Supervisor) takeOver(name string, was order.Memory, l *life) {
	switch {
	case !was.Phase.Alive():
	case l == nil:
		s.step(order.Event{Kind: order.Ended, Name: name, Exit: s.all[name].Runtime.LastExit()})
	default:
		s.step(order.Event{Kind: order.Adopted, Name: name})
		s.live.Go(func() { s.watch(l, was.Phase == order.Ready) })
	}
}

// step has the machine decide, and performs what it says. The lock is held.
func (s *Supervisor) step(e order.Event) {
	effects, next := s.machine.Step(time.Now(), e)
	for _, x := range effects {
		s.perform(x)
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	if !next.IsZero() && s.ctx.Err() == nil {
		s.timer = time.AfterFunc(time.Until(next), func() { s.tell(order.Event{Kind: order.Tick}) })
	}
	close(s.changed)
	s.changed = make(chan struct{})
	if s.o.Changed != nil {
		s.o.Changed()
	}
}

func (s *Supervisor) tell(e order.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil {
		s.step(e)
	}
}

func (s *Supervisor) perform(x order.Effect) {
	switch x.Kind {
	case order.Start:
		l := newLife(s.all[x.Name])
		s.lives[x.Name] = l
		s.live.Go(func() { s.begin(l) })
	case order.End:
		if l := s.lives[x.Name]; l != nil {
			l.end()
		}
	case order.Keep:
		s.keep(x.Name)
	case order.Note:
		s.o.Log.Warn("service", "service", x.Name, "says", x.Text)
		if s.o.Note != nil {
			s.o.Note(x.Level, x.Name, x.Text)
		}
	case order.Over:
		close(s.over)
	}
}

// Do does what an operator asks for. What is stopped stays so over a reboot.
func (s *Supervisor) Do(do api.ServiceDo, name string) error {
	kinds := map[api.ServiceDo]order.Kind{api.ServiceStart: order.Up, api.ServiceStop: order.Down, api.ServiceRestart: order.Again}
	kind := kinds[do]
	if kind == "" {
		return fmt.Errorf("service %s: %.40q is nothing that can be done with it: start, stop or restart", name, do)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.machine.State(name); !ok {
		return fmt.Errorf("service %s: %w", name, ErrUnknown)
	}
	if s.down {
		return fmt.Errorf("service %s: the machine is going down", name)
	}
	s.step(order.Event{Kind: kind, Name: name})
	return s.desire()
}

// Settled returns how a service is when it has come to rest after Do, or ctx
// ends.
func (s *Supervisor) Settled(ctx context.Context, name string) (api.ServiceState, error) {
	for {
		s.mu.Lock()
		changed := s.changed
		st, ok := s.machine.State(name)
		state := s.show(st)
		s.mu.Unlock()
		switch {
		case !ok:
			return state, fmt.Errorf("service %s: %w", name, ErrUnknown)
		case st.Phase != order.Starting && st.Phase != order.Ending && st.Phase != order.Waits:
			return state, nil
		}
		select {
		case <-ctx.Done():
			return state, nil
		case <-changed:
		}
	}
}

// Shutdown ends all in order, and returns when they have ended or ctx has. After
// Leave it does nothing.
func (s *Supervisor) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.down && s.ctx.Err() == nil {
		s.down = true
		s.step(order.Event{Kind: order.Shutdown})
	}
	s.mu.Unlock()
	select {
	case <-s.over:
		return nil
	case <-s.ctx.Done(): // they are the next core's
		return nil
	case <-ctx.Done():
		return fmt.Errorf("end the services: %w: still there: %v", ctx.Err(), s.alive())
	}
}

// Over is closed when all have ended after Shutdown.
func (s *Supervisor) Over() <-chan struct{} { return s.over }

// alive are the names of those that have not ended.
func (s *Supervisor) alive() (names []string) {
	for _, st := range s.States() {
		if order.Phase(st.State).Alive() {
			names = append(names, st.Name)
		}
	}
	return names
}

// Leave returns when nothing here runs any more, while the services do.
func (s *Supervisor) Leave() {
	s.mu.Lock()
	s.quit()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.live.Wait()
}

// States tells how all are.
func (s *Supervisor) States() []api.ServiceState {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := s.machine.States()
	all := make([]api.ServiceState, len(states))
	for i, st := range states {
		all[i] = s.show(st)
	}
	return all
}

// Failing says, a line each, which services somebody should look at, and
// returns a channel that is closed when that may have changed.
func (s *Supervisor) Failing() (lines []string, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.machine.States() {
		if (api.ServiceState{State: string(st.Phase)}).Failing() {
			lines = append(lines, fmt.Sprintf("%s is %s: %s", st.Name, st.Phase, st.Why))
		}
	}
	return lines, s.changed
}

// show is how one is, for a person. The lock is held.
func (s *Supervisor) show(st order.State) api.ServiceState {
	a := api.ServiceState{
		Name: st.Name, State: string(st.Phase), Why: st.Why, Since: st.Since, After: slices.Clone(st.After),
		Restarts: st.Restarts, Stopped: st.Stopped, File: s.all[st.Name].File,
	}
	if !st.Next.IsZero() {
		a.Next = &st.Next
	}
	if l := st.Last; l != nil {
		a.Last = &api.ServiceResult{Started: l.Started, Ended: l.Ended, Known: l.Known, Code: l.Code, Why: l.Why}
	}
	if l := s.lives[st.Name]; l != nil && st.Phase.Alive() {
		a.PID = l.pid()
	}
	return a
}

// Logs hands out what a service wrote.
func (s *Supervisor) Logs(ctx context.Context, name string, lines int, follow bool, write func([]byte) error) error {
	s.mu.Lock()
	d, ok := s.all[name]
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("service %s: %w", name, ErrUnknown)
	}
	return d.Runtime.Logs(ctx, lines, follow, write)
}
