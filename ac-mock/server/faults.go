package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/core/api"
)

// faulty asks about faults that hold before a peer has said who it is.
func (s *Server) faulty(name string, c net.Conn) bool {
	return s.opt.Faults.Active(name, "", s.opt.Clock()) && !s.opt.Spare(c)
}

// faultyFor asks about faults towards whoever sent a request.
func (s *Server) faultyFor(name string, r *http.Request) bool {
	now := s.opt.Clock()
	return slices.ContainsFunc(speakers(r), func(id api.NodeID) bool { return s.opt.Faults.Active(name, id, now) })
}

type speakersKey struct{}

// speakers are the nodes that a request may come from, by its certificate or
// by what it claims. There is always one: "" when nothing is known.
func speakers(r *http.Request) []api.NodeID {
	if ids, ok := r.Context().Value(speakersKey{}).([]api.NodeID); ok {
		return ids
	}
	return []api.NodeID{""}
}

// misbehave does to a node's request what the armed faults say. Without
// --faults it is not there at all.
func (s *Server) misbehave(h http.HandlerFunc) http.Handler {
	if !s.opt.Faults.Enabled() {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = s.withSpeakers(w, r)
		switch {
		case s.faultyFor(fault.Outage, r) && !s.opt.Spare(connOf(r)):
			takeOver(w, func(net.Conn) { reset(connOf(r)) })
		case s.faultyFor(fault.GarbageReply, r):
			takeOver(w, garbage)
		default:
			s.late(h, w, r)
		}
	})
}

// late answers, after a while under Slow, and wrongly under CorruptReply.
func (s *Server) late(h http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
	if s.faultyFor(fault.Slow, r) {
		select {
		case <-r.Context().Done():
			return
		case <-time.After(fault.SlowDelay):
		}
	}
	if s.faultyFor(fault.CorruptReply, r) && r.URL.Path != api.PathSession {
		w = corrupting{w}
	}
	h(w, r)
}

// withSpeakers notes which nodes a request may come from.
func (s *Server) withSpeakers(w http.ResponseWriter, r *http.Request) *http.Request {
	ids := []api.NodeID{""}
	if id := s.nodeOf(r); id != "" {
		ids = append(ids, id)
	}
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, api.MaxBody))
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err == nil {
			ids = append(ids, claimed(body)...)
		}
	}
	return r.WithContext(context.WithValue(r.Context(), speakersKey{}, ids))
}

// claimed are the nodes that a body says it comes from. It is not believed:
// it only chooses whom to treat badly.
func claimed(body []byte) []api.NodeID {
	var signed api.Signed
	var says struct {
		NodeID api.NodeID `json:"node_id"`
		MACs   []string   `json:"macs"`
	}
	if json.Unmarshal(body, &signed) != nil || json.Unmarshal(signed.Body, &says) != nil {
		return nil
	}
	var ids []api.NodeID
	if says.NodeID != "" {
		ids = append(ids, says.NodeID)
	}
	for _, mac := range says.MACs {
		if id, err := api.IDOf(mac); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// takeOver takes a connection away from HTTP.
func takeOver(w http.ResponseWriter, do func(net.Conn)) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	do(c)
	_ = c.Close()
}

// garbage writes what no HTTP client understands.
func garbage(c net.Conn) {
	noise := make([]byte, 512)
	_, _ = rand.Read(noise)
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.Write(noise)
}

// corrupting flips bits in the body of a reply.
type corrupting struct{ http.ResponseWriter }

func (c corrupting) Write(b []byte) (int, error) {
	b = bytes.Clone(b)
	fault.Corrupt(b)
	return c.ResponseWriter.Write(b)
}

// followFaults tells when a fault is over, and undoes what outlives it.
func (s *Server) followFaults(ctx context.Context) {
	if !s.opt.Faults.Enabled() {
		return
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			now := s.opt.Clock()
			for _, name := range s.opt.Faults.Expire(now) {
				s.opt.Log.Warn("fault is over", "fault", name)
			}
			if !s.opt.Faults.Active(fault.HangAfterAccept, "", now) {
				s.gate.releaseHung()
			}
		}
	}
}

func (s *Server) faults(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, s.opt.Faults.List(s.opt.Clock()))
}

func (s *Server) arm(w http.ResponseWriter, r *http.Request) {
	var f api.Fault
	if err := readJSON(w, r, &f); err != nil {
		fail(w, http.StatusBadRequest, `send {"name": "outage", "for_ms": 60000}`, err)
		return
	}
	for i, ref := range f.Nodes {
		n, err := s.opt.Registry.Node(r.Context(), string(ref))
		if err != nil {
			s.trouble(w, r, err)
			return
		}
		f.Nodes[i] = n.ID
	}
	armed, err := s.opt.Faults.Arm(f, s.opt.Clock())
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, fault.ErrOff) {
			status = http.StatusConflict
		}
		fail(w, status, "g8os fault list shows what there is", err)
		return
	}
	actor, _, _ := s.caller(r)
	what := fmt.Sprintf("%s armed for %d ms (0: until cleared), nodes %v", armed.Name, armed.ForMS, armed.Nodes)
	if err := s.opt.Registry.Note(r.Context(), actor.String(), "fault", "", what); err != nil {
		s.opt.Log.Error("fault not audited", "fault", armed.Name, "error", err)
	}
	s.opt.Log.Warn("fault armed", "fault", armed.Name, "nodes", armed.Nodes, "for_ms", armed.ForMS, "actor", actor.String())
	if err := s.begin(r.Context(), armed, actor.String()); err != nil {
		s.trouble(w, r, err)
		return
	}
	reply(w, http.StatusOK, armed)
}

// begin does what a fault does at the moment when it is armed.
func (s *Server) begin(ctx context.Context, f api.Fault, actor string) error {
	meant := func(id api.NodeID) bool { return len(f.Nodes) == 0 || slices.Contains(f.Nodes, id) }
	switch f.Name {
	case fault.Outage, fault.LoseSession:
		s.hub.CutIf(meant)
	case fault.Revoke:
		return s.revoke(ctx, meant, actor)
	}
	return nil
}

// revoke makes the certificates of the nodes that are meant void.
func (s *Server) revoke(ctx context.Context, meant func(api.NodeID) bool, actor string) error {
	list, err := s.opt.Registry.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range list {
		if !meant(n.ID) || n.CertificateExpires == nil || n.State == api.NodeRetired {
			continue
		}
		if _, err := s.opt.Registry.Revoke(ctx, actor, string(n.ID)); err != nil {
			return fmt.Errorf("revoke the certificates of node %s: %w", n.ID.MAC(), err)
		}
	}
	return nil
}

func (s *Server) clear(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	cleared, err := s.opt.Faults.Clear(name, s.opt.Clock())
	if err != nil {
		fail(w, http.StatusNotFound, "g8os fault list shows what there is", err)
		return
	}
	actor, _, _ := s.caller(r)
	s.opt.Log.Warn("faults cleared", "faults", cleared, "actor", actor.String())
	reply(w, http.StatusOK, s.opt.Faults.List(s.opt.Clock()))
}
