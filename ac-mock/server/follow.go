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
	out := s.jobStream(w, r)
	err := out.send(api.JobEvent{Job: req.ID, Time: s.opt.Clock().UTC()})
	if err == nil {
		err = s.followJob(r.Context(), req.ID, "", true, out)
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
	if err := s.followJob(r.Context(), id, q.Get("after"), q.Get("follow") == "1", s.jobStream(w, r)); err != nil {
		panic(http.ErrAbortHandler) // it must not be taken for whole
	}
}

// followJob hands on a job's events. To an operator whose certificate does not
// count any more it says so in the last one.
func (s *Server) followJob(ctx context.Context, id, after string, follow bool, out *jobStream) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.life, func() { cancel(errStopping) })()
	err := s.opt.Jobs.Follow(ctx, id, after, follow, out.send, out.flush)
	if why := context.Cause(ctx); errors.Is(why, errVoid) {
		_ = errors.Join(out.send(api.JobEvent{Job: id, Time: s.opt.Clock().UTC(), Error: why.Error(), Done: true}), out.flush())
	}
	return err
}

// jobStream sends events, as many at once as there are.
type jobStream struct {
	*stream
	raw bool // as api.RawEvents
	buf []byte
}

func (s *Server) jobStream(w http.ResponseWriter, r *http.Request) *jobStream {
	raw := slices.Contains(r.Header.Values("Accept"), api.RawEvents)
	if raw {
		w.Header().Set("Content-Type", api.RawEvents)
	}
	return &jobStream{stream: s.stream(w), raw: raw}
}

// send puts an event where flush, or the end of the reply, sends it from.
func (s *jobStream) send(e api.JobEvent) (err error) {
	if s.raw {
		s.buf, err = api.AppendEvent(s.buf[:0], e)
	} else if s.buf, err = json.Marshal(e); err == nil {
		s.buf = append(s.buf, '\n')
	}
	if err != nil {
		return err
	}
	return s.put(s.buf)
}
