package hub

import "github.com/g8os/g8os/core/api"

// Rotate sends a node the request to replace a key; without a session here
// nothing happens. Whether it has, the caller asks again.
func (h *Hub) Rotate(id api.NodeID, r api.Rotate) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.sessions[id]; s != nil {
		s.Send(api.Frame{Type: api.FrameRotate, Rotate: &r})
	}
}
