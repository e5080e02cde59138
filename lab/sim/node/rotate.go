package node

import (
	"fmt"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
)

// rotateLimit bounds what one rotation may take, as in core/node.
const rotateLimit = 20 * time.Second

// rotate replaces a key as the AC asks, as core/node does. A simulated node has
// no ssh: it says that it is done.
func (s *session) rotate(r api.Rotate) {
	c := s.core
	answer := func(err error) {
		r.Done = err == nil
		if err != nil {
			r.Error = err.Error()
		}
		if !s.over {
			s.end.Send(api.Frame{Type: api.FrameRotate, Rotate: &r}, 256)
		}
	}
	switch r.Kind {
	case api.RotateUnlock:
		c.others--
		c.start(c.others, rotateLimit, func(op *operation) { answer(c.rotateShare(op, s.path, r.Generation)) })
	case api.RotateCert:
		answer(nil)
		c.happens(boot.RenewCertificate{})
	case api.RotateSSH:
		answer(nil)
	default:
		answer(fmt.Errorf("cannot rotate %q", r.Kind))
	}
}

func (c *core) rotateShare(op *operation, p boot.Path, generation uint32) error {
	if err := op.lock(); err != nil {
		return err
	}
	v, err := c.theVault()
	if err != nil {
		return err
	}
	k, err := op.dial(p, nil)
	if err != nil {
		return err
	}
	return v.Rotate(op.ctx, k, c.claim(p.Where(boot.PhaseManaged)), generation)
}
