package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/core/api"
)

// hello tells a node that an AC is here, and what time it is.
func (s *Server) hello(w http.ResponseWriter, r *http.Request) {
	if s.draining() {
		away(w)
		return
	}
	now := s.opt.Clock()
	said := now
	if s.faultyFor(fault.ClockSkew, r) {
		said = now.Add(fault.Skew)
	}
	reply(w, http.StatusOK, api.Hello{
		Grid: s.opt.Grid, AC: s.opt.Name, Time: said.UTC(), Version: s.opt.Version, Faults: s.opt.Faults.Names(now),
	})
}

// away tells a node to turn to another AC.
func away(w http.ResponseWriter) {
	reply(w, http.StatusServiceUnavailable, map[string]string{"error": "this AC is drained: turn to another one"})
}

// challenge opens a nonce on the connection.
func (s *Server) challenge(w http.ResponseWriter, r *http.Request) {
	reply(w, http.StatusOK, api.Challenge{Nonce: connOf(r).challenge.renew()})
}

func (s *Server) unlock(w http.ResponseWriter, r *http.Request) {
	var c api.Claim
	device, ok := s.proven(w, r, api.PurposeUnlock, &c)
	if !ok {
		return
	}
	if s.faultyFor(fault.RefuseUnlock, r) {
		refuse(w)
		return
	}
	granted, err := s.opt.Registry.Unlock(r.Context(), r.RemoteAddr, device, c)
	s.answer(w, r, granted, err)
}

func (s *Server) confirm(w http.ResponseWriter, r *http.Request) {
	var c api.Confirm
	device, ok := s.proven(w, r, api.PurposeConfirm, &c)
	if !ok || !s.forItself(w, r, device, c.NodeID) {
		return
	}
	err := s.opt.Registry.Confirm(r.Context(), r.RemoteAddr, device, c)
	s.answer(w, r, struct{}{}, err)
}

func (s *Server) certify(w http.ResponseWriter, r *http.Request) {
	var c api.CSR
	device, ok := s.proven(w, r, api.PurposeCertificate, &c)
	if !ok || !s.forItself(w, r, device, c.NodeID) {
		return
	}
	issued, err := s.opt.Registry.Certificate(r.Context(), r.RemoteAddr, device, c)
	s.answer(w, r, issued, err)
}

// proven reads a signed message and checks its proof against this connection
// and its nonce, which is spent whatever comes of it. Without a proof the
// request is refused, and proven has answered it.
func (s *Server) proven(w http.ResponseWriter, r *http.Request, p api.Purpose, body any) (device []byte, ok bool) {
	nonce := connOf(r).challenge.spend()
	var signed api.Signed
	err := readJSON(w, r, &signed)
	if err == nil {
		err = checkProof(r, signed, p, nonce, body)
	}
	if err != nil {
		s.opt.Registry.BadProof(r.Context(), r.RemoteAddr, signed.DeviceKey, err)
		refuse(w)
		return nil, false
	}
	return signed.DeviceKey, true
}

func checkProof(r *http.Request, signed api.Signed, p api.Purpose, nonce []byte, body any) error {
	binding, err := api.Binding(*r.TLS)
	if err != nil {
		return err
	}
	return signed.Verify(p, binding, nonce, body)
}

// forItself refuses a node that comes with a certificate and speaks for
// another node.
func (s *Server) forItself(w http.ResponseWriter, r *http.Request, device []byte, id api.NodeID) bool {
	own := s.nodeOf(r)
	if own == "" || own == id {
		return true
	}
	s.opt.Registry.BadProof(r.Context(), r.RemoteAddr, device, fmt.Errorf("node %s speaks for node %s", own, id))
	refuse(w)
	return false
}

// session turns a request with a node's certificate into a session. Which node
// it is stands in the certificate and nowhere else.
func (s *Server) session(w http.ResponseWriter, r *http.Request) {
	id := s.nodeOf(r)
	if id == "" {
		refuse(w)
		return
	}
	if s.draining() {
		away(w)
		return
	}
	cert := r.TLS.PeerCertificates[0]
	holds := func() error { return s.opt.Registry.Holds(id, cert) }
	if err := s.opt.Registry.Admit(id, cert); err != nil {
		s.opt.Log.Info("session refused", "node", id, "peer", r.RemoteAddr, "reason", err)
		refuse(w)
		return
	}
	if err := s.hub.Accept(w, r, id, holds); err != nil {
		s.opt.Log.Debug("session failed", "node", id, "peer", r.RemoteAddr, "error", err)
	}
}

// answer tells a node what came of its request. What is not a refusal is our
// own trouble: the node is to try another AC, or again.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, granted any, err error) {
	switch {
	case err == nil:
		reply(w, http.StatusOK, granted)
	case errors.Is(err, api.ErrRefused):
		refuse(w)
	default:
		s.opt.Log.Error("node request failed", "path", r.URL.Path, "peer", r.RemoteAddr, "error", err)
		later(w, errors.New("the AC cannot decide now"))
	}
}

// identity is what the client certificate of a request says, if there is one.
func (s *Server) identity(r *http.Request) (api.Identity, bool) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return api.Identity{}, false
	}
	id, err := api.ParseIdentity(r.TLS.PeerCertificates[0].URIs)
	return id, err == nil && id.Grid == s.opt.Grid
}

// nodeOf is the node that a request's certificate belongs to, or "".
func (s *Server) nodeOf(r *http.Request) api.NodeID {
	id, ok := s.identity(r)
	if !ok || id.Role != api.RoleNode {
		return ""
	}
	node := api.NodeID(strings.ReplaceAll(id.Name, ":", ""))
	if canonical, err := api.IDOf(node.MAC()); err != nil || canonical != node {
		return ""
	}
	return node
}

// readJSON reads a body of at most api.MaxBody bytes: one JSON value.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	return readUpTo(w, r, api.MaxBody, v)
}

func readUpTo(w http.ResponseWriter, r *http.Request, most int64, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("request body: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("request body: more than one JSON value")
	}
	return nil
}
