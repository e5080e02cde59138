package controller

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/sim/channel"
)

// decide asks whoever decides: the registry.
func (k *conn) decide(m channel.Request, faulty func(string) bool) (any, error) {
	r, ctx := k.run, context.Background()
	switch m.Path {
	case api.PathHello:
		said := r.Now()
		if faulty(fault.ClockSkew) {
			said = said.Add(fault.Skew)
		}
		return api.Hello{Grid: r.o.Grid, AC: r.o.Name, Time: said.UTC(), Version: "sim", Faults: r.Faults.Names(r.Now())}, nil
	case api.PathChallenge:
		k.nonce = make([]byte, api.NonceSize)
		_, _ = r.rng.Read(k.nonce)
		return api.Challenge{Nonce: k.nonce}, nil
	case api.PathUnlock:
		var c api.Claim
		device, err := k.proven(m, api.PurposeUnlock, &c)
		if err == nil && faulty(fault.RefuseUnlock) {
			err = api.ErrRefused
		}
		if err != nil {
			return nil, err
		}
		granted, err := r.registry.Unlock(ctx, k.peer, device, c)
		if err == nil {
			r.released(k.end.Peer(), granted.NodeID, device, c.Counter)
		}
		return granted, err
	case api.PathConfirm:
		var c api.Confirm
		device, err := k.proven(m, api.PurposeConfirm, &c)
		if err == nil {
			err = k.forItself(device, c.NodeID)
		}
		if err == nil {
			err = r.registry.Confirm(ctx, k.peer, device, c)
		}
		return k.granted(struct{}{}, err, c.NodeID, "confirm")
	case api.PathCertificate:
		var c api.CSR
		device, err := k.proven(m, api.PurposeCertificate, &c)
		if err == nil {
			err = k.forItself(device, c.NodeID)
		}
		if err != nil {
			return nil, err
		}
		issued, err := r.registry.Certificate(ctx, k.peer, device, c)
		return k.granted(issued, err, c.NodeID, "a certificate")
	}
	return nil, errors.New("no such path: " + m.Path)
}

func (k *conn) granted(value any, err error, id api.NodeID, what string) (any, error) {
	if err == nil {
		k.run.o.Watcher.Granted(k.run.Controller, k.end.Peer(), id, what)
	}
	k.run.revokedNow()
	return value, err
}

// proven checks a signed message against this connection and its nonce, which
// is spent whatever comes of it.
func (k *conn) proven(m channel.Request, p api.Purpose, body any) ([]byte, error) {
	nonce := k.nonce
	k.nonce = nil
	var signed api.Signed
	err := json.Unmarshal(m.Body, &signed)
	if err == nil {
		err = signed.Verify(p, k.binding, nonce, body)
	}
	if err != nil {
		k.run.registry.BadProof(context.Background(), k.peer, signed.DeviceKey, err)
		return nil, errors.Join(api.ErrRefused, err)
	}
	return signed.DeviceKey, nil
}

// forItself refuses a node that comes with a certificate and speaks for
// another node.
func (k *conn) forItself(device []byte, id api.NodeID) error {
	if k.node == "" || k.node == id {
		return nil
	}
	k.run.registry.BadProof(context.Background(), k.peer, device, errors.New("node "+string(k.node)+" speaks for node "+string(id)))
	return api.ErrRefused
}

// released tells that shares of a node have left.
func (r *run) released(peer string, id api.NodeID, device []byte, counter uint64) {
	n, err := r.registry.Node(context.Background(), string(id))
	if err != nil {
		n = api.Node{ID: id, State: api.NodeState(strings.TrimSpace(err.Error()))}
	}
	r.o.Watcher.Released(r.Controller, peer, n, device, counter)
}
