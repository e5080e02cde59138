package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/g8os/g8os/core/api"
)

// How long a job is followed although no AC answers, and how long an AC may not
// know of a job that another one has made.
const (
	Patience   = 10 * time.Minute
	knownLate  = 10 * time.Second
	firstWait  = 100 * time.Millisecond
	longWait   = 2 * time.Second
	handWithin = 15 * time.Second // for a job that nobody waits for
)

// Lasting is the following of a job that outlives connections and ACs: after
// either is lost it goes on after the last event, with whichever AC of the
// context answers.
type Lasting struct {
	// Take gets the events, each once; Data of one is good until it returns. An error
	// of it ends the following.
	Take func(api.JobEvent) error
	// Lost is told, once for each time, that no AC answers; Found that one does
	// again. Nil: nobody is told.
	Lost  func(error)
	Found func()
}

// NewJobID makes an id for a job that may have to be asked for twice.
func NewJobID() string { return rand.Text()[:16] }

// RunJob has a job made and follows it to its end. The job does not end with the
// caller (JobRequest.Detached): who does not want it any more cancels it. An id
// is made unless it has one, so that a request whose answer was lost can be
// repeated. Errors are about the handing over (*Failure, ErrUnreachable), or,
// once it is handed over, as those of Follow.
func (l Lasting) RunJob(ctx context.Context, c *Client, req api.JobRequest) error {
	req.Detached = true
	if req.ID == "" {
		req.ID = NewJobID()
	}
	return l.last(ctx, c, req.ID, func(take func(api.JobEvent) error) error { return c.RunJob(ctx, req, take) })
}

// Follow follows a job from its beginning to its end. Errors wrap ErrLost once no
// AC has answered for Patience.
func (l Lasting) Follow(ctx context.Context, c *Client, id string) error {
	return l.last(ctx, c, id, func(take func(api.JobEvent) error) error { return c.FollowJob(ctx, id, "", take) })
}

// last begins, and goes on from the last cursor.
func (l Lasting) last(ctx context.Context, c *Client, id string, begin func(func(api.JobEvent) error) error) error {
	var cursor string
	var refused error // by who takes the events
	begun, heard, wait, told := false, time.Now(), firstWait, false
	take := func(e api.JobEvent) error {
		if told && l.Found != nil {
			l.Found()
		}
		begun, heard, wait, told = true, time.Now(), firstWait, false
		if e.Cursor != "" {
			cursor = e.Cursor
		}
		refused = l.Take(e)
		return refused
	}
	for {
		var err error
		if begun {
			err = c.FollowJob(ctx, id, cursor, take)
		} else {
			err = begin(take)
		}
		if err == nil || refused != nil || ctx.Err() != nil || !passing(err, begun, time.Since(heard)) {
			return err
		}
		if time.Since(heard) > Patience {
			return fmt.Errorf("%w for %v: %w", ErrLost, Patience, err)
		}
		if !told && l.Lost != nil {
			l.Lost(err)
		}
		told = true
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, longWait)
	}
}

// passing says whether an error may be gone when one asks again.
func passing(err error, begun bool, silent time.Duration) bool {
	if f, ok := errors.AsType[*Failure](err); ok {
		return begun && (f.Status >= http.StatusInternalServerError || f.Status == http.StatusNotFound && silent < knownLate)
	}
	if errors.Is(err, ErrUnreachable) {
		return begun || errors.Is(err, errPerhaps)
	}
	return errors.Is(err, ErrLost)
}

// HandJob has a job made, as MakeJob does; a request whose answer was lost is
// repeated.
func (c *Client) HandJob(ctx context.Context, req api.JobRequest) (job api.Job, err error) {
	if req.ID == "" {
		req.ID = NewJobID()
	}
	for began := time.Now(); ; {
		job, err = c.MakeJob(ctx, req)
		if err == nil || ctx.Err() != nil || !passing(err, false, 0) || time.Since(began) > handWithin {
			return job, err
		}
		select {
		case <-ctx.Done():
			return job, ctx.Err()
		case <-time.After(firstWait):
		}
	}
}
