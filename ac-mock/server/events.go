package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/g8os/g8os/ac-mock/events"
	"github.com/g8os/g8os/core/api"
)

// Events keeps what nodes notice (ac-mock/events).
type Events interface {
	Take(api.NodeID, api.NodeEvent)
	Read(events.Query) (list []api.NodeEvent, changed <-chan struct{}, err error)
	Kept() (kept, waiting int)
}

// takeEvent is what the hub does with an event.
func (s *Server) takeEvent() func(api.NodeID, api.NodeEvent) {
	if s.opt.Events == nil {
		return nil
	}
	return s.opt.Events.Take
}

// AckEvent tells a node that its events up to a number are safe.
func (s *Server) AckEvent(id api.NodeID, seq uint64) { s.hub.AckEvent(id, seq) }

func (s *Server) keptEvents() (kept, waiting int) {
	if s.opt.Events == nil {
		return 0, 0
	}
	return s.opt.Events.Kept()
}

// events lists what nodes noticed, a line each: of node=NODE, of level=N and
// above, after=CURSOR, at most limit=N of the newest; with follow=1 it goes on.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if s.opt.Events == nil {
		fail(w, http.StatusNotFound, "", errors.New("this AC keeps no events"))
		return
	}
	q, ok := s.eventQuery(w, r)
	if !ok {
		return
	}
	list, changed, err := s.opt.Events.Read(q)
	if err != nil {
		fail(w, http.StatusBadRequest, "leave after out to begin at the oldest", err)
		return
	}
	names := s.names(r)
	for out := s.stream(w); ; {
		for _, e := range list {
			e.Name = names[e.Node]
			line, err := json.Marshal(e)
			if err != nil || out.line(line) != nil {
				return
			}
			q.After = e.Cursor
		}
		if r.URL.Query().Get("follow") != "1" {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		}
		q.Limit = 0
		if list, changed, err = s.opt.Events.Read(q); err != nil {
			return
		}
		if len(list) > 0 {
			names = s.names(r)
		}
	}
}

func (s *Server) eventQuery(w http.ResponseWriter, r *http.Request) (q events.Query, ok bool) {
	v := r.URL.Query()
	level, err1 := number(v.Get("level"))
	limit, err2 := number(v.Get("limit"))
	if err := errors.Join(err1, err2); err != nil {
		fail(w, http.StatusBadRequest, "give numbers for level and limit", err)
		return q, false
	}
	q = events.Query{Level: int(level), Limit: int(limit), After: v.Get("after")}
	if ref := v.Get("node"); ref != "" {
		n, err := s.opt.Registry.Node(r.Context(), ref)
		if err != nil {
			s.trouble(w, r, fmt.Errorf("events: %w", err))
			return q, false
		}
		q.Node = n.ID
	}
	return q, true
}

// names are what nodes call themselves.
func (s *Server) names(r *http.Request) map[api.NodeID]string {
	list, err := s.opt.Registry.Nodes(r.Context())
	if err != nil {
		return nil
	}
	names := make(map[api.NodeID]string, len(list))
	for _, n := range list {
		names[n.ID] = api.Shown(n.Name, 64)
	}
	return names
}
