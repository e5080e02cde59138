package controller

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"

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
