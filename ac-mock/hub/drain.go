package hub

import "github.com/coder/websocket"

// Drain ends at most so many sessions, telling their nodes to turn to another
// AC, and returns how many are left.
func (h *Hub) Drain(most int) (left int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.opt.Clock()
	for _, s := range h.sessions {
		if most == 0 {
			break
		}
		most--
		h.drop(s, now, "drained")
		s.close(websocket.StatusGoingAway, "the AC is drained")
	}
	return len(h.sessions)
}
