package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/g8os/g8os/core/api"
)

// trouble tells an operator why the registry did not do what he asked for.
func (s *Server) trouble(w http.ResponseWriter, r *http.Request, err error) {
	if status, remedy, ok := s.opt.Failed(err); ok {
		fail(w, status, remedy, err)
		return
	}
	s.opt.Log.Error("operator request failed", "path", r.URL.Path, "peer", r.RemoteAddr, "error", err)
	fail(w, http.StatusServiceUnavailable, "see the AC's log; try again", err)
}

func (s *Server) nodes(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("watch") == "1" {
		s.watch(w, r)
		return
	}
	list, err := s.opt.Registry.Nodes(r.Context())
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	reply(w, http.StatusOK, list)
}

// watchPause is the least time between two lines of a watch: a node that keeps
// changing its mind must not have the whole list made anew all the time.
const watchPause = 100 * time.Millisecond

// watch streams the whole list of nodes, one line a change; what did not change
// is not sent again.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	changed := s.opt.Registry.Watch(r.Context())
	out := s.stream(w)
	var before []byte
	for {
		list, err := s.opt.Registry.Nodes(r.Context())
		if err != nil || s.void(r) != nil {
			return
		}
		line, err := json.Marshal(list)
		if err != nil || !bytes.Equal(line, before) && out.line(line) != nil {
			return
		}
		before = line
		select {
		case <-r.Context().Done():
			return
		case <-time.After(watchPause):
		}
		if _, open := <-changed; !open {
			return
		}
	}
}

func (s *Server) node(w http.ResponseWriter, r *http.Request) {
	n, err := s.opt.Registry.Node(r.Context(), r.PathValue("id"))
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	reply(w, http.StatusOK, n)
}

// change makes a handler of something that changes one node.
func (s *Server) change(do func(ctx context.Context, actor, ref string) (api.Node, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		actor, _, _ := s.caller(r)
		n, err := do(r.Context(), actor.String(), r.PathValue("id"))
		if err != nil {
			s.trouble(w, r, err)
			return
		}
		s.opt.Log.Info("node changed", "path", r.URL.Path, "node", n.ID, "state", n.State, "actor", actor.String())
		reply(w, http.StatusOK, n)
	}
}

// drain makes a handler of what has a node begin no jobs, or begin them again: at
// this AC that holds when the operator has his answer.
func (s *Server) drain(do func(ctx context.Context, actor, ref string) (api.Node, error)) http.HandlerFunc {
	return s.change(func(ctx context.Context, actor, ref string) (api.Node, error) {
		n, err := do(ctx, actor, ref)
		if err == nil {
			s.opt.Jobs.Drain()
		}
		return n, err
	})
}

func (s *Server) quarantine(ctx context.Context, actor, ref string) (api.Node, error) {
	return s.opt.Registry.Quarantine(ctx, actor, ref, "by "+actor)
}

// roles changes the roles of a node.
func (s *Server) roles(w http.ResponseWriter, r *http.Request) {
	asked(s, func(ctx context.Context, actor string, q api.RolesRequest) (api.Node, error) {
		return s.opt.Registry.ChangeRoles(ctx, actor, r.PathValue("id"), q)
	})(w, r)
}

// setGrace says how far a node may unlock without an AC.
func (s *Server) setGrace(w http.ResponseWriter, r *http.Request) {
	asked(s, func(ctx context.Context, actor string, g api.Grace) (api.Node, error) {
		return s.opt.Registry.SetGrace(ctx, actor, r.PathValue("id"), g)
	})(w, r)
}

// audit lists decisions. With after=SEQ only later ones; with limit=N at most
// so many of the newest.
func (s *Server) audit(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, err1 := number(q.Get("limit"))
	after, err2 := number(q.Get("after"))
	if err := errors.Join(err1, err2); err != nil {
		fail(w, http.StatusBadRequest, "give numbers for limit and after", err)
		return
	}
	list, err := s.opt.Registry.Audit(r.Context(), q.Get("node"), after, int(limit))
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	reply(w, http.StatusOK, list)
}

// stream is a reply that goes on: lines, each sent at once and within the
// limit for writing.
type stream struct {
	w     http.ResponseWriter
	c     *http.ResponseController
	limit time.Duration
}

// stream begins one. The limit for reading the request ends here: what is read
// from now on is only whether the client is still there.
func (s *Server) stream(w http.ResponseWriter) *stream {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{})
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/x-ndjson")
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return &stream{w, c, s.opt.Limits.Write}
}

func (s *stream) line(line []byte) error {
	if err := s.put(append(line, '\n')); err != nil {
		return err
	}
	return s.flush()
}

// put writes what flush sends, or the end of the reply.
func (s *stream) put(text []byte) error {
	if err := s.c.SetWriteDeadline(time.Now().Add(s.limit)); err != nil {
		return err
	}
	_, err := s.w.Write(text)
	return err
}

func (s *stream) flush() error {
	if err := s.c.SetWriteDeadline(time.Now().Add(s.limit)); err != nil {
		return err
	}
	return s.c.Flush()
}
