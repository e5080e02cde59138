package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/g8os/g8os/ac-mock/cluster"
	"github.com/g8os/g8os/core/api"
)

// nodeMetrics answers with what all nodes measured last: those with a session
// here, and, unless another AC asks, those of the others.
func (s *Server) nodeMetrics(w http.ResponseWriter, r *http.Request) {
	list := s.ownNodes(r.Context())
	if _, relayed, _ := s.caller(r); !relayed {
		list = newest(append(list, s.othersNodes(r)...))
	}
	reply(w, http.StatusOK, list)
}

// ownNodes are the nodes that have a session with this AC, or had one until
// just now and have none with another.
func (s *Server) ownNodes(ctx context.Context) []api.NodeMetrics {
	known, err := s.opt.Registry.Nodes(ctx)
	if err != nil {
		s.opt.Log.Warn("metrics of nodes", "error", err)
		return nil
	}
	nodes := make(map[api.NodeID]api.Node, len(known))
	for _, n := range known {
		nodes[n.ID] = n
	}
	list := []api.NodeMetrics{}
	for _, m := range s.last.List() {
		n, is := nodes[m.Node]
		if !is || n.AC != "" && n.AC != s.opt.Name {
			continue
		}
		m.Name, m.AC = api.Shown(n.Name, 64), s.opt.Name
		list = append(list, m)
	}
	return list
}

// othersNodes asks all other ACs at once. One that does not answer has no nodes.
func (s *Server) othersNodes(r *http.Request) (list []api.NodeMetrics) {
	if s.opt.Cluster == nil || s.opt.Peer == nil {
		return nil
	}
	actor, _, _ := s.caller(r)
	var mu sync.Mutex
	var asked sync.WaitGroup
	for _, p := range s.opt.Cluster.Others() {
		asked.Go(func() {
			theirs, err := s.nodesOf(r.Context(), p, actor)
			if err != nil {
				s.opt.Log.Debug("metrics of another AC's nodes", "ac", p.Name, "error", err)
			}
			mu.Lock()
			defer mu.Unlock()
			list = append(list, theirs...)
		})
	}
	asked.Wait()
	return list
}

// mostNodes bounds what is read of another AC's answer, in bytes.
const mostNodes = 16 << 20

func (s *Server) nodesOf(ctx context.Context, p cluster.Peer, actor api.Identity) (list []api.NodeMetrics, err error) {
	ctx, cancel := context.WithTimeout(ctx, relayWithin)
	defer cancel()
	res, err := s.askPeer(ctx, http.MethodGet, strings.TrimSuffix(p.URL, "/")+api.PathNodeMetrics, actor, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", res.Status)
	}
	return list, json.NewDecoder(io.LimitReader(res.Body, mostNodes)).Decode(&list)
}

// newest keeps, of each node, what is newest.
func newest(all []api.NodeMetrics) []api.NodeMetrics {
	byNode := map[api.NodeID]api.NodeMetrics{}
	for _, m := range all {
		if had, is := byNode[m.Node]; !is || m.Time.After(had.Time) {
			byNode[m.Node] = m
		}
	}
	return slices.SortedFunc(maps.Values(byNode), func(a, b api.NodeMetrics) int { return cmp.Compare(a.Node, b.Node) })
}
