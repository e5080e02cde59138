package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
)

// rotateLimit bounds what one rotation may take; the AC asks again after it.
const rotateLimit = 20 * time.Second

// rotate replaces a key as the AC asks over a session on a path, and says how
// that went. Rotations wait for each other, and for whatever else uses the keys.
func (n *Node) rotate(p boot.Path, r api.Rotate) api.Rotate {
	ctx, cancel := context.WithTimeout(n.ctx, rotateLimit)
	defer cancel()
	var err error
	switch r.Kind {
	case api.RotateUnlock:
		err = n.keys.rotateShare(ctx, p, r.Generation)
	case api.RotateCert: // the AC sees that it is done by the certificate that it issues
		n.post(boot.RenewCertificate{})
	case api.RotateSSH:
		err = n.rotateSSH(r)
	default:
		err = fmt.Errorf("this version of g8os_core cannot rotate %q", r.Kind)
	}
	answer := api.Rotate{ID: r.ID, Kind: r.Kind, Generation: r.Generation, Done: err == nil}
	if err != nil {
		answer.Error = err.Error()
		n.opt.Log.Warn("a key was not rotated", "rotation", r.ID, "error", err)
		return answer
	}
	n.opt.Log.Info("a key is rotated", "rotation", r.ID, "kind", r.Kind)
	return answer
}

// rotateShare moves the volume's lock to another share of the AC's.
func (k *keys) rotateShare(ctx context.Context, p boot.Path, generation uint32) error {
	k.work.Lock()
	defer k.work.Unlock()
	v, err := k.theVault()
	if err != nil {
		return err
	}
	conn, err := k.connect(ctx, p, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	return v.Rotate(ctx, conn, k.claim(p.Where(boot.PhaseManaged)), generation)
}

func (n *Node) rotateSSH(r api.Rotate) error {
	n.keys.work.Lock()
	defer n.keys.work.Unlock()
	restart, err := n.sshd.Rotate(r.ID, time.Duration(r.OverlapMS)*time.Millisecond, n.opt.Clock.Now())
	if restart {
		err = errors.Join(err, n.sshd.Restart())
	}
	return err
}
