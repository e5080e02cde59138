package hub

import (
	"time"

	"github.com/g8os/g8os/core/api"
)

// recheckEvery bounds how long a session outlives its right when nobody tells.
const recheckEvery = 3 * time.Second

// Revoked ends the session of a node whose certificate does not hold any more.
func (h *Hub) Revoked(id api.NodeID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.sessions[id]; s != nil {
		h.drop(s, h.opt.Clock(), "revoked")
		s.close(api.CloseRevoked, "certificate revoked")
	}
}

// CutIf ends sessions without a word, as a broken network would.
func (h *Hub) CutIf(match func(api.NodeID) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, s := range h.sessions {
		if match(id) {
			h.drop(s, h.opt.Clock(), "cut")
			s.cut()
		}
	}
}

// recheck ends the sessions whose node may not have one any more and of which
// nobody told us: certificates run out without an event.
func (h *Hub) recheck() {
	h.mu.Lock()
	all := make([]*session, 0, len(h.sessions))
	for _, s := range h.sessions {
		all = append(all, s)
	}
	h.mu.Unlock()
	for _, s := range all {
		if err := s.holds(); err != nil {
			h.opt.Log.Warn("session cut: it does not hold any more", "node", s.node, "reason", err)
			h.mu.Lock()
			h.drop(s, h.opt.Clock(), "ran_out")
			h.mu.Unlock()
			s.close(api.CloseRevoked, "certificate does not hold any more")
		}
	}
}
