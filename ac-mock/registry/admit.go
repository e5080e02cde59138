package registry

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
)

// tooOften applies the limits, and counts this request.
func (r *Registry) tooOften(q request) (why string, id api.NodeID) {
	id = r.book.owner(q.device)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.limit.Source(enrol.SourceOf(q.peer), q.now):
		return reasonSource, id
	case id == "":
		return "", ""
	case r.limit.Locked(string(id), q.now):
		return reasonLocked, id
	case !r.limit.Record(string(id), q.now):
		return reasonRecord, id
	}
	return "", id
}

// BadProof notes a signature that did not hold. device, unproven as it is, may
// be empty.
func (r *Registry) BadProof(_ context.Context, peer string, device []byte, why error) {
	q := r.request(actProof, peer, device)
	id := r.book.owner(device)
	o := enrol.Outcome{Record: enrol.Record{ID: id}, Reason: reasonProof}
	if why != nil {
		o.Detail = why.Error()
	}
	r.mu.Lock()
	allowed := r.limit.Source(enrol.SourceOf(peer), q.now)
	if allowed && id != "" && r.limit.BadProof(string(id), q.now) {
		o.Reason = reasonLocked
	}
	r.mu.Unlock()
	_ = r.refuse(q, o, nil)
}

// Admit says whether a node may open a session with this certificate: as Holds
// does, and no newer one may have been issued: by issue time, which the clock
// does not turn back. Who comes with an older one has
// to prove itself, and its counter tells which of two it is.
func (r *Registry) Admit(id api.NodeID, cert *x509.Certificate) error {
	if err := r.Holds(id, cert); err != nil {
		return err
	}
	record, _ := r.book.get(id)
	if record != nil && ca.IssuedAt(cert).Before(record.LastIssue) {
		return fmt.Errorf("session of node %s: %w: serial %032x was followed by one with issue time %s",
			id, ca.ErrRevoked, cert.SerialNumber, record.LastIssue.Format(time.RFC3339))
	}
	return nil
}

// Holds says whether a node may have a session that it opened with this
// certificate, whose chain the caller has verified against ca.ClientCAs: nil,
// or the reason (for the log; the node gets none).
func (r *Registry) Holds(id api.NodeID, cert *x509.Certificate) error {
	identity, err := api.ParseIdentity(cert.URIs)
	if err != nil {
		return err
	}
	if want := (api.Identity{Grid: r.o.Grid, Role: api.RoleNode, Name: string(id)}); identity != want {
		return fmt.Errorf("session of node %s: its certificate is %s", id, identity)
	}
	if now := r.o.Clock(); now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return fmt.Errorf("session of node %s: its certificate is good from %s to %s", id, cert.NotBefore, cert.NotAfter)
	}
	if err := r.o.CA.Denied(cert); err != nil {
		return fmt.Errorf("session of node %s: %w", id, err)
	}
	record, _ := r.book.get(id)
	switch {
	case record == nil:
		return fmt.Errorf("session of node %s: %w", id, ErrUnknown)
	case record.State != api.NodeEnrolled:
		return fmt.Errorf("session of node %s: %w: it is %s: %s", id, ErrState, record.State, record.Reason)
	case record.Certificate == nil: // the deny list may lag behind the record
		return fmt.Errorf("session of node %s: %w: all that it was issued", id, ca.ErrRevoked)
	}
	return nil
}
