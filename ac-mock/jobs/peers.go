package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs/output"
	"github.com/g8os/g8os/core/api"
)

// Peers are the other ACs that are there.
type Peers interface {
	Names() []string
	// Output asks one for what it has of a job's output (Serve). It returns when
	// the answer begins, within some seconds.
	Output(ctx context.Context, ac, job string, follow bool) (io.ReadCloser, error)
}

type alone struct{}

func (alone) Names() []string { return nil }

func (alone) Output(context.Context, string, string, bool) (io.ReadCloser, error) {
	return nil, errors.New("there is no other AC")
}

// Line is one line of what an AC tells another of a job's output: a piece, and
// the position behind it; or a mark: what was here at a revision of the store
// has been told.
type Line struct {
	Node   api.NodeID `json:"node,omitempty"`
	Seq    uint64     `json:"seq,omitempty"`
	Time   time.Time  `json:"time,omitzero"`
	Stream string     `json:"stream,omitempty"`
	Data   []byte     `json:"data,omitempty"`
	At     int64      `json:"at"`
	Mark   int64      `json:"mark,omitempty"`
}

// markEvery is how often an AC says that it has nothing new.
const markEvery = time.Second

// Serve tells another AC what is here of a job's output; with follow set until
// the job is over. Each line is written at once. A job that is not known is not
// over: its asker may have heard of it sooner.
func (q *Queue) Serve(ctx context.Context, id string, follow bool, take func(Line) error) error {
	woken, leave := q.watch(id)
	defer leave()
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	var at int64
	for {
		q.mu.Lock()
		revision := q.revision
		_, over, known := q.m.Changes(id, noChange, 0)
		q.mu.Unlock()
		next, _, err := q.o.Output.Read(id, at, func(p output.Piece, next int64) error {
			return take(Line{Node: p.Node, Seq: p.Seq, Time: p.Time, Stream: p.Stream, Data: p.Data, At: next})
		})
		if err != nil {
			return err
		}
		at = next
		if err := take(Line{At: at, Mark: revision}); err != nil || known && over || !follow {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-woken:
		case <-tick.C:
		}
	}
}

// peerSilence is after which time an AC that says nothing is given up: it says
// something every markEvery.
const peerSilence = 5 * time.Second

// lines hands on the lines of another AC, until there are no more.
func lines(r io.Reader, take func(Line) error) error {
	dec := json.NewDecoder(r)
	for {
		var l Line
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("its answer broke off: %w", err)
		}
		if err := take(l); err != nil {
			return err
		}
	}
}
