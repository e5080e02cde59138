package jobs

import (
	"context"
	"fmt"
	"slices"

	"github.com/g8os/g8os/ac-mock/jobs/delivery"
	"github.com/g8os/g8os/core/api"
)

// Follow hands on what a job says on all its nodes and what becomes of it there,
// after a cursor (empty: from the beginning), up to now or, with follow set, until
// it is over everywhere: then the last event has Done set. Each event has the
// cursor behind it. The pieces of a node come in their order, each once, and
// before its end; of pieces that nobody has, or whose AC does not answer, an event
// says so that has an Error and no State. take may be slow: nothing waits for it
// but this stream. pause is called before more is waited for; nil: nothing is.
// Errors wrap ErrUnknown or ErrCursor, or are of ctx, take or pause.
func (q *Queue) Follow(ctx context.Context, id, after string, follow bool, take func(api.JobEvent) error, pause func() error) error {
	told, err := parseCursor(after)
	if err != nil {
		return err
	}
	if _, err := q.spec(id); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	woken, leave := q.watch(id)
	defer leave()
	start, _ := parseCursor(after)
	if pause == nil {
		pause = func() error { return nil }
	}
	f := &follower{
		q: q, id: id, follow: follow, take: take, pause: pause, told: told, start: start, heard: map[api.NodeID]*spans{}, more: make(chan struct{}, 1), woken: woken,
	}
	f.own(ctx)
	return f.run(ctx)
}

// follower is one stream. It merges what the ACs have of a job's output with the
// changes of its states.
type follower struct {
	q       *Queue
	id      string
	follow  bool
	take    func(api.JobEvent) error
	pause   func() error
	told    cursor // up to where the stream has come
	start   cursor // where it began: what is before is only counted
	heard   map[api.NodeID]*spans
	sources []*source
	abroad  bool // the other ACs were asked
	changes []delivery.Change
	over    bool // all changes were fetched
	steps   int
	more    chan struct{}
	woken   <-chan struct{}
}

func (f *follower) run(ctx context.Context) error {
	for {
		if f.isAbroad() {
			f.others(ctx)
		}
		moved, err := f.pieces(ctx)
		if err != nil {
			return err
		}
		done, err := f.states(ctx)
		if done || err != nil {
			return err
		}
		if moved {
			continue
		}
		if err := f.pause(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-f.more:
		case <-f.woken:
		}
	}
}

func (f *follower) isAbroad() bool {
	f.q.mu.Lock()
	defer f.q.mu.Unlock()
	return !f.abroad && f.q.m.Abroad(f.id)
}

// pieces hands on what can be of the output, and says whether there was any.
func (f *follower) pieces(ctx context.Context) (moved bool, err error) {
	for _, s := range f.sources {
		for f.fetch(s) && f.inOrder(ctx, s) {
			moved = true
			if err := f.tell(s); err != nil {
				return moved, err
			}
		}
		if s.ended && s.failed != nil && s.ac != f.q.o.AC {
			err := f.remark("", fmt.Sprintf("output that AC %s may have is missing: %v", s.ac, s.failed))
			if s.failed = nil; err != nil {
				return moved, err
			}
		}
	}
	if s := f.stuck(); s != nil {
		return true, f.tell(s)
	}
	return moved, nil
}

func (f *follower) of(n api.NodeID) *spans {
	if f.heard[n] == nil {
		f.heard[n] = &spans{}
	}
	return f.heard[n]
}

// tell hands on a source's next piece, if it is new.
func (f *follower) tell(s *source) error {
	l := s.head
	s.head, s.since = nil, 0
	isNew := f.of(l.Node).add(l.Seq)
	if l.At <= f.start.At[s.ac] {
		return nil
	}
	f.told.At[s.ac] = max(f.told.At[s.ac], l.At)
	if !isNew {
		return nil
	}
	return f.say(api.JobEvent{Node: l.Node, Seq: l.Seq, Time: l.Time, Stream: l.Stream, Data: l.Data})
}

// say hands on an event.
func (f *follower) say(e api.JobEvent) error {
	e.Job, e.Cursor = f.id, f.told.String()
	if e.Node != "" {
		e.Name = f.q.o.Name(e.Node)
	}
	return f.take(e)
}

func (f *follower) remark(n api.NodeID, text string) error {
	return f.say(api.JobEvent{Node: n, Time: f.q.o.Clock().UTC(), Error: text})
}

// changesAtOnce bounds the changes that are fetched at a time.
const changesAtOnce = 256

// states hands on the changes whose time has come, and says whether that was
// all there will be.
func (f *follower) states(ctx context.Context) (done bool, err error) {
	for {
		if len(f.changes) == 0 {
			if err := f.fetchChanges(); err != nil {
				return false, err
			}
		}
		if len(f.changes) == 0 {
			return f.last()
		}
		c := f.changes[0]
		told, err := f.change(ctx, c)
		if !told || err != nil {
			return false, err
		}
		f.changes = f.changes[1:]
	}
}

func (f *follower) fetchChanges() error {
	f.q.mu.Lock()
	defer f.q.mu.Unlock()
	list, over, ok := f.q.m.Changes(f.id, delivery.Change{Revision: f.told.Revision, Node: api.NodeID(f.told.Node)}, changesAtOnce)
	if !ok {
		return fmt.Errorf("job %s: %w any more: it was forgotten", f.id, ErrUnknown)
	}
	f.changes, f.over = list, over && len(list) < changesAtOnce
	return nil
}

// last ends the stream, if there is nothing more to come.
func (f *follower) last() (done bool, err error) {
	idle := func(s *source) bool { return s.ended && s.head == nil }
	switch {
	case f.over:
		return true, f.say(api.JobEvent{Time: f.q.o.Clock().UTC(), Done: true})
	case !f.follow && !slices.ContainsFunc(f.sources, func(s *source) bool { return !idle(s) }):
		return true, nil
	}
	return false, nil
}

// change hands on a change of state. The end of a job on a node waits until what
// it said there was told, or nobody can tell more of it.
func (f *follower) change(ctx context.Context, c delivery.Change) (told bool, err error) {
	e := api.JobEvent{Node: c.Node, State: c.State}
	r := f.q.Result(f.id, c.Node)
	if c.State.Ended() && r != nil {
		missing := f.of(c.Node).missing(r.Seq)
		if missing > 0 {
			if !f.allTold(c.Revision) { // by this AC alone, if no other was asked
				return false, nil
			}
			f.others(ctx)
		}
		if whole := missing == 0 && r.Seq > 0; !whole && !f.allTold(c.Revision) {
			return false, nil
		}
		if missing > 0 {
			if err := f.remark(c.Node, missed(missing, r.Dropped)); err != nil {
				return false, err
			}
		}
		e.Seq, e.Time, e.Code, e.Error = r.Seq, r.Time, r.Code, r.Error
	}
	f.told.Revision, f.told.Node = c.Revision, string(c.Node)
	return true, f.say(e)
}

func missed(pieces uint64, dropped int64) string {
	if dropped > 0 {
		return fmt.Sprintf("%d pieces of output are missing; the node had to drop %d bytes of it", pieces, dropped)
	}
	return fmt.Sprintf("%d pieces of output are missing: they are with an AC that is away, or were more than is kept", pieces)
}

// allTold says whether all that are asked have told what they had at a revision.
func (f *follower) allTold(revision int64) bool {
	return !slices.ContainsFunc(f.sources, func(s *source) bool { return s.head != nil || !s.ended && s.mark < revision })
}
