package jobs

import (
	"context"
	"errors"
	"time"
)

// source is an AC that tells what it has of the output.
type source struct {
	ac     string
	lines  chan Line
	failed error // once lines is closed
	ended  bool
	head   *Line // the next piece, if it is known
	since  int   // the step at which head had to wait for pieces before it
	mark   int64 // what was here at this revision has been told
	marked int   // the step at which that was said
}

// sourceLines bounds the lines of a source that wait to be taken.
const sourceLines = 16

// begin asks a source: tell calls take for each line, until there are no more.
func (f *follower) begin(ctx context.Context, ac string, tell func(take func(Line) error) error) {
	s := &source{ac: ac, lines: make(chan Line, sourceLines)}
	f.sources = append(f.sources, s)
	go func() {
		s.failed = tell(func(l Line) error {
			select {
			case s.lines <- l:
				signal(f.more)
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		close(s.lines)
		signal(f.more)
	}()
}

// own asks this AC.
func (f *follower) own(ctx context.Context) {
	f.begin(ctx, f.q.o.AC, func(take func(Line) error) error {
		return f.q.Serve(ctx, f.id, f.follow, take)
	})
}

// others asks the other ACs, if that was not done; it says whether there are any.
func (f *follower) others(ctx context.Context) bool {
	if !f.abroad {
		f.abroad = true
		for _, ac := range f.q.o.Peers.Names() {
			f.begin(ctx, ac, func(take func(Line) error) error { return f.q.listen(ctx, ac, f.id, f.follow, take) })
		}
	}
	return len(f.sources) > 1
}

// fetch gets a source's next piece, unless it is known.
func (f *follower) fetch(s *source) bool {
	for s.head == nil && !s.ended {
		select {
		case l, open := <-s.lines:
			switch {
			case !open:
				s.ended = true
			case l.Mark > 0:
				f.steps++
				s.mark, s.marked = l.Mark, f.steps
			default:
				s.head = &l
			}
		default:
			return false
		}
	}
	return s.head != nil
}

// inOrder says whether a source's next piece follows on what was told of its
// node. One that does not waits for others to tell what is before it.
func (f *follower) inOrder(ctx context.Context, s *source) bool {
	n := f.of(s.head.Node)
	if s.head.Seq <= n.next() || n.has(s.head.Seq) || s.head.At <= f.start.At[s.ac] {
		return true
	}
	if !f.others(ctx) {
		return true
	}
	if s.since == 0 {
		f.steps++
		s.since = f.steps
	}
	return false
}

// stuck finds the piece that is to be told although others before it are
// missing: no source can have them any more.
func (f *follower) stuck() (first *source) {
	for _, s := range f.sources {
		if s.head == nil {
			continue
		}
		if first == nil || s.head.Time.Before(first.head.Time) {
			first = s
		}
	}
	if first == nil {
		return nil
	}
	for _, s := range f.sources {
		if s.head == nil && !s.ended && s.marked < first.since {
			return nil
		}
	}
	return first
}

// listen asks another AC for what it has of a job's output.
func (q *Queue) listen(ctx context.Context, ac, job string, follow bool, take func(Line) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(peerSilence, func() { cancel(errSilent) })
	defer silent.Stop()
	body, err := q.o.Peers.Output(ctx, ac, job, follow)
	if err != nil {
		return silence(ctx, err)
	}
	defer body.Close()
	stop := context.AfterFunc(ctx, func() { _ = body.Close() })
	defer stop()
	return silence(ctx, lines(body, func(l Line) error {
		silent.Stop()
		defer silent.Reset(peerSilence)
		return take(l)
	}))
}

var errSilent = errors.New("it does not answer")

// silence is err, or that the other AC has said nothing for too long.
func silence(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}
