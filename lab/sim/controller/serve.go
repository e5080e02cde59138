package controller

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/sim/channel"
	"github.com/g8os/g8os/lab/sim/ether"
)

// conn is one connection from a node.
type conn struct {
	run     *run
	end     *ether.End
	peer    string // address and port, as the registry wants it
	client  []*x509.Certificate
	node    api.NodeID // of its certificate; empty: none
	binding []byte
	nonce   []byte
	session *session
}

// accept takes a connection, or misbehaves as the armed faults say.
func (r *run) accept(end *ether.End) {
	if r.Faults.Active(fault.Outage, "", r.Now()) {
		end.Abort()
		return
	}
	k := &conn{run: r, end: end, peer: netip.AddrPortFrom(end.PeerAddr(), 40000).String()}
	end.Received = func(m any) {
		if r.Controller.run == r && !r.frozen { // what lets does, without a closure a frame
			k.take(m)
			return
		}
		r.lets(func() { k.take(m) })
	}
	end.Ended = func(error) { r.lets(k.gone) }
}

func (k *conn) gone() {
	if k.session != nil {
		k.session.ended(0)
	}
}

func (k *conn) take(message any) {
	if !k.end.Open() {
		return
	}
	switch m := message.(type) {
	case channel.Hello:
		k.handshake(m)
	case channel.Request:
		k.request(m)
	case channel.Frame:
		if k.session != nil {
			k.session.received(m)
		}
	case channel.Leave:
		if k.session != nil {
			k.session.ended(m.Status)
		}
	}
}

// handshake shows the AC's certificate, and looks at the node's.
func (k *conn) handshake(m channel.Hello) {
	r, now := k.run, k.run.Now()
	if r.Faults.Active(fault.HangAfterAccept, "", now) {
		return
	}
	shown := channel.Shown{Chain: r.chain(), Binding: make([]byte, 32), Genuine: !r.Faults.Active(fault.WrongCA, "", now)}
	_, _ = r.rng.Read(shown.Binding)
	k.binding = shown.Binding
	k.end.Send(shown, channel.ShownSize)
	if len(m.Client) == 0 {
		return
	}
	id, err := r.o.Judge.Client(m.Client, r.ca.ClientCAs(), now)
	if err == nil {
		err = r.ca.Denied(m.Client[0])
	}
	if err != nil {
		k.end.Send(channel.Alert{Reason: err.Error()}, channel.FrameSize)
		k.end.Close()
		return
	}
	k.client = m.Client
	if id.Role == api.RoleNode && id.Grid == r.o.Grid {
		k.node = api.NodeID(id.Name)
	}
}

// chain is what the AC shows.
func (r *run) chain() []*x509.Certificate {
	now := r.Now()
	switch {
	case r.Faults.Active(fault.WrongCA, "", now):
		return r.strangers()
	case r.Faults.Active(fault.ExpiredCert, "", now):
		return r.expired()
	}
	own, err := r.own(nil)
	if err != nil {
		return nil
	}
	return r.parsed(own.Leaf, own.Certificate)
}

// parsed keeps chains, so that the same one is the same.
func (r *run) parsed(leaf *x509.Certificate, der [][]byte) []*x509.Certificate {
	if c, ok := r.chains[leaf]; ok {
		return c
	}
	chain, err := channel.Parse(der)
	if err != nil {
		return nil
	}
	r.chains[leaf] = chain
	return chain
}

// request answers one request, after what the armed faults do to it.
func (k *conn) request(m channel.Request) {
	r, now := k.run, k.run.Now()
	speakers := k.speakers(m.Body)
	faulty := func(name string) bool {
		return slices.ContainsFunc(speakers, func(id api.NodeID) bool { return r.Faults.Active(name, id, now) })
	}
	switch {
	case faulty(fault.Outage):
		k.end.Abort()
		return
	case faulty(fault.GarbageReply):
		k.end.Send(garbage{}, 512)
		k.end.Close()
		return
	case faulty(fault.Slow):
		r.after(fault.SlowDelay, func() { k.answer(m, faulty) })
		return
	}
	k.answer(m, faulty)
}

// garbage is what no client understands.
type garbage struct{}

// speakers are the nodes that a request may come from; see ac-mock/server.
func (k *conn) speakers(body []byte) []api.NodeID {
	ids := []api.NodeID{""}
	if k.node != "" {
		ids = append(ids, k.node)
	}
	if len(k.run.Faults.Names(k.run.Now())) == 0 {
		return ids
	}
	var signed api.Signed
	var says struct {
		NodeID api.NodeID `json:"node_id"`
		MACs   []string   `json:"macs"`
	}
	if json.Unmarshal(body, &signed) != nil || json.Unmarshal(signed.Body, &says) != nil {
		return ids
	}
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

// answer does what a path asks for.
func (k *conn) answer(m channel.Request, faulty func(string) bool) {
	if !k.end.Open() {
		return
	}
	if m.Path == api.PathSession {
		k.open()
		return
	}
	value, err := k.decide(m, faulty)
	var body []byte
	status := http.StatusOK
	switch {
	case err == nil:
		body, err = json.Marshal(value)
		if err != nil {
			status = http.StatusInternalServerError
		}
	case errors.Is(err, api.ErrRefused):
		status = http.StatusForbidden
	default:
		status = http.StatusServiceUnavailable
	}
	if faulty(fault.CorruptReply) {
		fault.Corrupt(body)
	}
	k.end.Send(channel.Response{Status: status, Body: body}, channel.RequestHead+len(body))
	if status == http.StatusForbidden { // the refusal is written after the answer
		k.run.settleSoon()
	}
	k.run.o.Watcher.Changed()
}

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
