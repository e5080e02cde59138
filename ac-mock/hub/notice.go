package hub

import "github.com/g8os/g8os/core/api"

// noticed passes on what a node says of itself unasked.
func (h *Hub) noticed(id api.NodeID, f api.Frame) {
	switch {
	case f.Type == api.FrameMetrics && h.opt.Measured != nil:
		h.opt.Measured(id, *f.Metrics)
	case f.Type == api.FrameEvent && h.opt.Event != nil:
		f.Event.Seq = f.Seq
		h.opt.Event(id, *f.Event)
	}
}

// AckEvent tells a node that its events up to a number are safe; without a
// session here nothing happens: it sends them again to whoever has it.
func (h *Hub) AckEvent(id api.NodeID, seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.sessions[id]; s != nil {
		s.Send(api.Frame{Type: api.FrameAck, Seq: seq})
	}
}
