package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs"
	"github.com/g8os/g8os/core/api"
)

// Paths by which ACs ask each other.
const (
	pathPeerOutput   = "/api/peer/jobs/{job}/output" // GET, ?follow=1: jobs.Line lines
	pathPeerSessions = "/api/peer/sessions"          // POST ids of nodes, answers those that have a session here
)

// peerRoutes are the paths of other ACs.
func (s *Server) peerRoutes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{"GET " + pathPeerOutput: s.peerOutput, "POST " + pathPeerSessions: s.peerSessions}
}

// requireAC lets a request through that comes with another AC's certificate.
func (s *Server) requireAC(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := s.identity(r); !ok || id.Role != api.RoleAC || s.void(r) != nil {
			fail(w, http.StatusUnauthorized, "", errors.New("this is for other ACs of the grid"))
			return
		}
		h(w, r)
	})
}

func (s *Server) peerOutput(w http.ResponseWriter, r *http.Request) {
	out := s.stream(w)
	err := s.opt.Jobs.Serve(r.Context(), r.PathValue("job"), r.URL.Query().Get("follow") == "1", func(l jobs.Line) error {
		line, err := json.Marshal(l)
		if err != nil {
			return err
		}
		return out.line(line)
	})
	if err != nil {
		panic(http.ErrAbortHandler) // it must not be taken for whole
	}
}

func (s *Server) peerSessions(w http.ResponseWriter, r *http.Request) {
	var ids, here []api.NodeID
	if err := readUpTo(w, r, maxJobBody, &ids); err != nil {
		fail(w, http.StatusBadRequest, "", err)
		return
	}
	for _, id := range ids {
		if s.hub.Online(id) {
			here = append(here, id)
		}
	}
	reply(w, http.StatusOK, here)
}

// Peers are the other ACs, as the queue of jobs asks them.
type Peers struct {
	Cluster Cluster
	Client  *http.Client
}

// Names implements jobs.Peers.
func (p Peers) Names() (names []string) {
	for _, o := range p.Cluster.Others() {
		names = append(names, o.Name)
	}
	return names
}

// Output implements jobs.Peers.
func (p Peers) Output(ctx context.Context, ac, job string, follow bool) (io.ReadCloser, error) {
	path := strings.Replace(pathPeerOutput, "{job}", url.PathEscape(job), 1)
	if follow {
		path += "?follow=1"
	}
	res, err := p.ask(ctx, ac, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// ask asks another AC. The answer may go on for as long as ctx.
func (p Peers) ask(ctx context.Context, ac, method, path string, body []byte) (*http.Response, error) {
	for _, o := range p.Cluster.Others() {
		if o.Name != ac {
			continue
		}
		ctx, cancel := context.WithCancelCause(ctx)
		late := time.AfterFunc(relayWithin, func() { cancel(errors.New("it does not answer")) })
		req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(o.URL, "/")+path, bytes.NewReader(body))
		var res *http.Response
		if err == nil {
			res, err = p.Client.Do(req)
		}
		late.Stop()
		if err == nil && res.StatusCode != http.StatusOK {
			_ = res.Body.Close()
			err = fmt.Errorf("it answers %s", res.Status)
		}
		if err != nil {
			cancel(err)
			return nil, err
		}
		res.Body = ended{res.Body, cancel}
		return res, nil
	}
	return nil, errors.New("it is not there")
}

// online says which nodes have a session with another AC, as those say
// themselves; of one that does not answer, what was heard of it counts.
func (p Peers) online(ctx context.Context, nodes []api.Node) map[api.NodeID]bool {
	ids := make([]api.NodeID, len(nodes))
	for i, n := range nodes {
		ids[i] = n.ID
	}
	body, err := json.Marshal(ids)
	if err != nil {
		return nil
	}
	var mu sync.Mutex
	there := map[api.NodeID]bool{}
	var wg sync.WaitGroup
	for _, ac := range p.Names() {
		wg.Go(func() {
			here, err := p.sessions(ctx, ac, body)
			mu.Lock()
			defer mu.Unlock()
			for _, id := range here {
				there[id] = true
			}
			for _, n := range nodes {
				there[n.ID] = there[n.ID] || err != nil && n.AC == ac
			}
		})
	}
	wg.Wait()
	return there
}

func (p Peers) sessions(ctx context.Context, ac string, body []byte) (here []api.NodeID, err error) {
	ctx, cancel := context.WithTimeout(ctx, relayWithin)
	defer cancel()
	res, err := p.ask(ctx, ac, http.MethodPost, pathPeerSessions, body)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return here, json.NewDecoder(res.Body).Decode(&here)
}
