package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs"
	"github.com/g8os/g8os/core/api"
)

// cancelWithin bounds how long the cancel of a job takes whose maker is gone.
const cancelWithin = 10 * time.Second

// followMade streams a job to who made it, and cancels it when he goes away
// before it is over, unless it is detached; when his certificate does not count
// any more, also then. The first line has its id.
func (s *Server) followMade(w http.ResponseWriter, r *http.Request, req api.JobRequest) {
	send := s.jobStream(w, r)
	err := send(api.JobEvent{Job: req.ID, Time: s.opt.Clock().UTC()})
	if err == nil {
		err = s.followJob(r.Context(), req.ID, "", true, send)
	}
	void := errors.Is(context.Cause(r.Context()), errVoid)
	if err == nil || req.Detached && !void || s.life.Err() != nil { // when this AC stops, he asks another one
		return
	}
	actor, _, _ := s.caller(r)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), cancelWithin)
	defer cancel()
	if _, err := s.opt.Jobs.Cancel(ctx, actor.String(), req.ID, ""); err != nil {
		s.opt.Log.Warn("job goes on though its maker is gone", "job", req.ID, "error", err)
	}
}

// errStopping is why a stream ended though its job has not.
var errStopping = errors.New("this AC is stopping")

// jobEvents streams a job after a cursor, with follow=1 until it is over.
func (s *Server) jobEvents(w http.ResponseWriter, r *http.Request) {
	q, id := r.URL.Query(), r.PathValue("job")
	if _, err := s.opt.Jobs.Job(id); err != nil {
		s.jobTrouble(w, r, err)
		return
	}
	if err := jobs.CheckCursor(q.Get("after")); err != nil {
		s.jobTrouble(w, r, err)
		return
	}
	send := s.jobStream(w, r)
	_ = http.NewResponseController(w).Flush() // what is to come may take its time
	if err := s.followJob(r.Context(), id, q.Get("after"), q.Get("follow") == "1", send); err != nil {
		panic(http.ErrAbortHandler) // it must not be taken for whole
	}
}

// followJob hands on a job's events. To an operator whose certificate does not
// count any more it says so in the last one.
func (s *Server) followJob(ctx context.Context, id, after string, follow bool, send func(api.JobEvent) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.life, func() { cancel(errStopping) })()
	err := s.opt.Jobs.Follow(ctx, id, after, follow, send)
	if why := context.Cause(ctx); errors.Is(why, errVoid) {
		_ = send(api.JobEvent{Job: id, Time: s.opt.Clock().UTC(), Error: why.Error(), Done: true})
	}
	return err
}

// jobStream sends events as they come. The last one, after which the answer ends
// in order, goes with that end.
func (s *Server) jobStream(w http.ResponseWriter, r *http.Request) func(api.JobEvent) error {
	raw := slices.Contains(r.Header.Values("Accept"), api.RawEvents)
	if raw {
		w.Header().Set("Content-Type", api.RawEvents)
	}
	out := s.stream(w)
	var buf []byte
	return func(e api.JobEvent) (err error) {
		if raw {
			buf, err = api.AppendEvent(buf[:0], e)
		} else if buf, err = json.Marshal(e); err == nil {
			buf = append(buf, '\n')
		}
		if err == nil {
			err = out.put(buf)
		}
		if err != nil || e.Done && e.Error == "" {
			return err
		}
		return out.c.Flush()
	}
}
