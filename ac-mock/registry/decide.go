package registry

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/audit"
	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Actions in the audit.
const (
	actUnlock      = "unlock"
	actConfirm     = "confirm"
	actCertificate = "certificate"
	actProof       = "proof"
)

// Reasons that are the shell's own.
const (
	reasonSource = "too many requests from its address"
	reasonRecord = "too many requests of this node"
	reasonLocked = "locked after bad proofs"
	reasonCSR    = "certificate request is malformed"
	reasonProof  = "proof does not hold"
)

// maxDetail bounds what one entry says, in bytes: a claim may be 64 KiB long,
// and entries fill the store that unlocking needs.
const maxDetail = 1024

// attempts bounds how often a decision is made again because the store has
// changed in between.
const attempts = 8

// errRefused is all that a node ever learns.
var errRefused = fmt.Errorf("%w: the reason is in the audit", api.ErrRefused)

// request is who asks for what.
type request struct {
	action string
	peer   string // address and port
	device []byte
	now    time.Time
}

func (r *Registry) request(action, peer string, device []byte) request {
	return request{action: action, peer: peer, device: device, now: r.o.Clock()}
}

func (r *Registry) granted(q request, o enrol.Outcome) api.AuditEntry {
	actor := api.Identity{Grid: r.o.Grid, Role: api.RoleNode, Name: string(o.Record.ID)}
	return q.entry(o, audit.Granted, actor.String())
}

func (q request) entry(o enrol.Outcome, decision, actor string) api.AuditEntry {
	detail := o.Detail
	if decision == audit.Refused && len(q.device) > 0 {
		detail = strings.TrimPrefix(detail+"; device key "+api.Fingerprint(q.device), "; ")
	}
	detail = api.Shown(detail, maxDetail) // a stranger's words may be in it
	return api.AuditEntry{
		Time: q.now, Actor: actor, Action: q.action, Node: o.Record.ID,
		Decision: decision, Reason: o.Reason, Peer: q.peer, Detail: detail,
	}
}

// Unlock decides about an unlock request whose proof holds. A refusal wraps
// api.ErrRefused and says nothing else; the reason is in the audit. Other
// errors mean that the store cannot be used now, and that nothing was given.
func (r *Registry) Unlock(ctx context.Context, peer string, device []byte, c api.Claim) (api.Unlocked, error) {
	q := r.request(actUnlock, peer, device)
	if why, id := r.tooOften(q); why != "" {
		return api.Unlocked{}, r.refuse(q, enrol.Outcome{Record: enrol.Record{ID: id}, Reason: why}, nil)
	}
	var err error
	fresh := false
	for range attempts {
		k, holds := r.book.known(c.MACs, device)
		var token []store.Cond
		if k.Offer, token, err = r.offer(ctx, c.Token); err != nil {
			return api.Unlocked{}, err
		}
		o := enrol.Decide(k, c, device, r.o.Policy, q.now)
		if !o.Granted && fresh {
			r.noteClaim(q, o, c)
			return api.Unlocked{}, r.refuse(q, o, holds)
		}
		if !o.Granted {
			// Another AC may know better: nobody is refused on old news.
			if err := r.refresh(ctx, padded(holds, len(c.MACs))); err != nil {
				return api.Unlocked{}, err
			}
			fresh = true
			continue
		}
		var u api.Unlocked
		if u, err = r.unlock(ctx, q, o, k.Offer, token, holds); err == nil {
			r.noteClaim(q, o, c)
			return u, nil
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
			return api.Unlocked{}, err
		}
		if err := r.refresh(ctx, holds); err != nil {
			return api.Unlocked{}, err
		}
	}
	return api.Unlocked{}, fmt.Errorf("unlock of %v: given up after %d attempts: %w", c.MACs, attempts, err)
}

// unlock collects what is given, and makes it durable that it was.
func (r *Registry) unlock(ctx context.Context, q request, o enrol.Outcome, offer enrol.Offer, token, holds []store.Cond) (api.Unlocked, error) {
	u, ops, err := r.unlocked(ctx, o)
	if err != nil {
		return api.Unlocked{}, err
	}
	if o.Spend {
		spent, err := putToken(offer.Known.Spend())
		if err != nil {
			return api.Unlocked{}, err
		}
		ops, holds = append(ops, spent), append(token, holds...)
	}
	return u, r.commit(ctx, r.granted(q, o), o, holds, ops)
}

// Confirm notes that a generation is in use on the node's disk.
func (r *Registry) Confirm(ctx context.Context, peer string, device []byte, c api.Confirm) error {
	q := r.request(actConfirm, peer, device)
	return r.entitled(ctx, q, c.NodeID, func(record *enrol.Record) (enrol.Outcome, error) {
		return enrol.Confirm(record, c, device), nil
	})
}

// Certificate issues a client certificate for the key in a CSR.
func (r *Registry) Certificate(ctx context.Context, peer string, device []byte, c api.CSR) (api.Issued, error) {
	q := r.request(actCertificate, peer, device)
	var issued api.Issued
	err := r.entitled(ctx, q, c.NodeID, func(record *enrol.Record) (enrol.Outcome, error) {
		o := enrol.Certify(record, c, device)
		if !o.Granted {
			return o, nil
		}
		public, err := publicKey(c.DER)
		if err != nil {
			return enrol.Outcome{Record: o.Record, Reason: reasonCSR, Detail: err.Error()}, nil
		}
		issued, err = r.issue(&o, public)
		if errors.Is(err, ca.ErrKey) {
			return enrol.Outcome{Record: o.Record, Reason: reasonCSR, Detail: err.Error()}, nil
		}
		return o, err
	})
	if err != nil {
		return api.Issued{}, err
	}
	return issued, nil
}

func publicKey(der []byte) (any, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certificate request: its own signature: %w", err)
	}
	return csr.PublicKey, nil
}

func (r *Registry) issue(o *enrol.Outcome, public any) (api.Issued, error) {
	id := api.Identity{Grid: r.o.Grid, Role: api.RoleNode, Name: string(o.Record.ID)}
	leaf, chain, err := r.o.CA.Issue(id, public, r.o.CA.LeafLife(), o.Record.LastIssue)
	if err != nil {
		return api.Issued{}, err
	}
	serial := fmt.Sprintf("%032x", leaf.SerialNumber)
	o.Record.Certificate = &enrol.Certificate{Serial: serial, NotAfter: leaf.NotAfter}
	o.Record.LastIssue = ca.IssuedAt(leaf)
	o.Detail = "serial " + serial + ", good until " + leaf.NotAfter.UTC().Format(time.RFC3339)
	return api.Issued{Chain: chain, Accepted: r.o.CA.AcceptedPEM(), NotAfter: leaf.NotAfter, Settings: r.Settings(o.Record.ID)}, nil
}

// entitled runs a decision about one known record, and writes it.
func (r *Registry) entitled(ctx context.Context, q request, id api.NodeID, decide func(*enrol.Record) (enrol.Outcome, error)) error {
	if why, owner := r.tooOften(q); why != "" {
		return r.refuse(q, enrol.Outcome{Record: enrol.Record{ID: owner}, Reason: why}, nil)
	}
	fresh := false
	for range attempts {
		record, modified := r.book.get(id)
		o, err := decide(record)
		if err != nil {
			return err
		}
		holds := []store.Cond{{Key: keyRecord + string(id), Modified: modified}}
		switch {
		case o.Granted && !o.Changed:
			return nil // it was decided, and audited, before
		case !o.Granted && fresh:
			return r.refuse(q, o, holds)
		case !o.Granted:
			if err := r.refresh(ctx, holds); err != nil {
				return err
			}
			fresh = true
			continue
		}
		err = r.commit(ctx, r.granted(q, o), o, holds, nil)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if err := r.refresh(ctx, holds); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s of node %s: %w: given up after %d attempts", q.action, id, store.ErrConflict, attempts)
}
