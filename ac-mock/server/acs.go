package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/g8os/g8os/ac-mock/cluster"
	"github.com/g8os/g8os/core/api"
)

// Cluster is what the server asks about the other ACs (ac-mock/cluster).
type Cluster interface {
	ACs(ctx context.Context) ([]api.AC, error)
	Add(ctx context.Context, n api.NewAC) (api.AC, error)
	Remove(ctx context.Context, name string) error
	Drain(ctx context.Context, name string, drain bool) (api.AC, error)
	Others() []cluster.Peer
	Draining() bool
	Drained() <-chan struct{}
}

// memberWithin bounds a change of the membership: etcd may want the members to
// have been connected for some time before.
const memberWithin = 20 * time.Second

func (s *Server) acs(w http.ResponseWriter, r *http.Request) {
	if s.opt.Cluster == nil {
		reply(w, http.StatusOK, []api.AC{{Name: s.opt.Name, State: api.ACServing, Leader: true, Sessions: s.hub.Sessions(), Version: s.opt.Version}})
		return
	}
	all, err := s.opt.Cluster.ACs(r.Context())
	if err != nil {
		s.trouble(w, r, err)
		return
	}
	reply(w, http.StatusOK, all)
}

// clustered makes a handler of something that is done to the ACs. What it is
// about is in the audit before it is done.
func (s *Server) clustered(action string, about func(*http.Request) string, do func(context.Context, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.opt.Cluster == nil {
			fail(w, http.StatusConflict, "set etcd.peer_url in its ac.toml", errors.New("this AC is alone"))
			return
		}
		actor, _, _ := s.caller(r)
		ctx, cancel := context.WithTimeout(r.Context(), memberWithin)
		defer cancel()
		if err := s.opt.Registry.Note(ctx, actor.String(), action, "", about(r)); err != nil {
			s.trouble(w, r, err)
			return
		}
		answer, err := do(ctx, r)
		if err != nil {
			s.trouble(w, r, err)
			return
		}
		s.opt.Log.Info("ACs changed", "action", action, "about", about(r), "actor", actor.String())
		reply(w, http.StatusOK, answer)
	}
}

func named(r *http.Request) string { return r.PathValue("name") }

// addAC lets one more AC in.
func (s *Server) addAC(w http.ResponseWriter, r *http.Request) {
	var n api.NewAC
	err := readJSON(w, r, &n)
	if err == nil && (n.Name == "" || n.PeerURL == "") {
		err = errors.New("name or peer_url is missing")
	}
	if err != nil {
		fail(w, http.StatusBadRequest, `send {"name": "ac2", "peer_url": "https://192.168.7.3:2380"}`, err)
		return
	}
	about := func(*http.Request) string { return n.Name + " at " + n.PeerURL }
	s.clustered("ac add", about, func(ctx context.Context, _ *http.Request) (any, error) { return s.opt.Cluster.Add(ctx, n) })(w, r)
}

func (s *Server) removeAC() http.HandlerFunc {
	return s.clustered("ac remove", named, func(ctx context.Context, r *http.Request) (any, error) {
		if err := s.opt.Cluster.Remove(ctx, named(r)); err != nil {
			return nil, err
		}
		return s.opt.Cluster.ACs(ctx)
	})
}

func (s *Server) drainAC(action string, drain bool) http.HandlerFunc {
	return s.clustered(action, named, func(ctx context.Context, r *http.Request) (any, error) {
		return s.opt.Cluster.Drain(ctx, named(r), drain)
	})
}
