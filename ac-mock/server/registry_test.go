package server

import (
	"net/http"
	"testing"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/registry"
	"github.com/g8os/g8os/core/api"
)

var _ Registry = (*registry.Registry)(nil)

// newRealRig is a rig with the real book of nodes.
func newRealRig(t testing.TB, mode enrol.Mode) *rig {
	t.Helper()
	return newRealRigWith(t, mode, func(*Options) {})
}

func newRealRigWith(t testing.TB, mode enrol.Mode, change func(*Options)) *rig {
	t.Helper()
	return newRig(t, func(o *Options) {
		change(o)
		trust := o.Trust.(testTrust)
		book, err := registry.Open(t.Context(), registry.Options{
			Store: trust.store, Seal: trust.seal, CA: trust.CA, Policy: enrol.Policy{Mode: mode},
			Limits: enrol.Limits{SourceRate: 1e6, SourceBurst: 1e6, RecordRate: 1e6, RecordBurst: 1e6, BadProofs: 1000, LockSeconds: 1, MaxTracked: 1e5},
			Grid:   grid, AuthorizedKeys: []string{"ssh-ed25519 A"}, Log: o.Log, Clock: o.Clock,
		})
		must(t, err)
		t.Cleanup(func() { _ = book.Close() })
		o.Registry = book
	})
}

// With the real book: a node waits until it is approved, climbs, holds a
// session, and loses it when it is retired.
func TestApproveClimbRetire(t *testing.T) {
	r := newRealRig(t, enrol.ModeApprove)
	n := newNode(r, 1)
	op := r.operator("admin.ann")
	claim := n.claim()
	unlock := func(into any) int {
		t.Helper()
		status := n.post(api.PathUnlock, n.sign(api.PurposeUnlock, n.nonce(), claim), into)
		claim.Counter++
		return status
	}
	if s := unlock(nil); s != http.StatusForbidden {
		t.Fatalf("a machine that nobody approved: %d", s)
	}
	waiting, err := op.Node(t.Context(), n.mac)
	must(t, err)
	if waiting.State != api.NodePending || waiting.Fingerprint != api.Fingerprint(n.public) {
		t.Fatalf("it waits as %+v, want pending with fingerprint %s", waiting, api.Fingerprint(n.public))
	}
	_, err = op.Approve(t.Context(), n.mac)
	must(t, err)
	var unlocked api.Unlocked
	if s := unlock(&unlocked); s != http.StatusOK || len(unlocked.Shares) != 1 || len(unlocked.Shares[0].Share) != 32 {
		t.Fatalf("after approval: %d, %+v", s, unlocked)
	}
	generation := unlocked.Shares[0].Generation
	if s := n.post(api.PathConfirm, n.sign(api.PurposeConfirm, n.nonce(), api.Confirm{NodeID: n.id, Generation: generation}), nil); s != http.StatusOK {
		t.Fatalf("confirm: %d", s)
	}
	own := n.certificate()
	s := n.session(own)
	s.heartbeat(1, "managed")
	_ = s.conn.CloseNow()
	eventually(t, "it is offline, where it was last", func() bool {
		seen, err := op.Node(t.Context(), n.mac)
		must(t, err)
		return seen.Phase == "offline" && seen.Way == "configured"
	})
	s = n.session(own)
	s.heartbeat(1, "managed")
	_, err = op.Retire(t.Context(), n.mac)
	must(t, err)
	for {
		if _, err := s.read(); err != nil {
			if websocket.CloseStatus(err) != api.CloseRevoked {
				t.Errorf("a retired node's session ends with %v", err)
			}
			break
		}
	}
	list, err := op.Audit(t.Context(), n.mac, 0, 0)
	must(t, err)
	var decisions []string
	for _, e := range list {
		decisions = append(decisions, e.Action+" "+e.Decision)
	}
	if len(decisions) < 5 {
		t.Errorf("the audit has only %q", decisions)
	}
}
