package managed

import (
	"context"

	"github.com/g8os/g8os/core/api"
)

// rotate has the node replace a key, beside the session, and answers over it. An
// answer that does not arrive is not missed: the AC asks again.
func (s *Session) rotate(r api.Rotate) {
	if s.opt.Rotate == nil {
		s.opt.Log.Warn("a rotation is asked for that this node cannot do", "kind", r.Kind)
		return
	}
	go func() {
		answer := s.opt.Rotate(r)
		if err := s.write(context.Background(), api.Frame{Type: api.FrameRotate, Rotate: &answer}); err != nil {
			s.opt.Log.Info("the answer to a rotation did not leave", "rotation", r.ID, "error", err)
		}
	}()
}
