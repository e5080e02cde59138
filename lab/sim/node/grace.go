package node

import (
	"context"
	"errors"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/unlock"
	"github.com/g8os/g8os/core/unlock/grace"
	"github.com/g8os/g8os/core/unlock/volume"
)

// graced is what a run of g8os_core knows of a grace, as in core/node.
type graced struct {
	wanted  *api.Grace // as the AC says
	path    boot.Path  // of the session in which it said so
	kept    bool       // it is looked at
	late    bool       // an AC was looked for long enough
	renewed bool
	open    bool
	over    string
}

// settleGrace takes the AC's word.
func (s *session) settleGrace(g api.Grace) {
	c := s.core
	if !g.On() && !c.hasGrace {
		return
	}
	c.grace.wanted, c.grace.path, c.hasGrace = &g, s.path, true
	c.keepGrace()
	c.lookAtGrace()
}

// keepGrace looks at the grace now and then, for as long as g8os_core runs.
func (c *core) keepGrace() {
	if c.grace.kept {
		return
	}
	c.grace.kept = true
	c.after(grace.After, func() {
		c.grace.late = true
		c.lookAtGrace()
	})
	var again func()
	again = func() {
		c.lookAtGrace()
		c.after(grace.Every, again)
	}
	c.after(grace.Every, again)
}

// lookAtGrace makes a grace anew while there is an AC, and uses it when there is
// none, as core/node does.
func (c *core) lookAtGrace() {
	do := func(_ *operation, v *unlock.Vault) error { return v.GraceSeen(c.Now()) }
	switch {
	case len(c.sessions) > 0:
		do = c.tendGrace
	case c.grace.late && c.machine.Phase() == boot.PhaseNetwork:
		do = c.openByGrace
	}
	c.others--
	c.start(c.others, rotateLimit, func(op *operation) {
		if op.lock() != nil {
			return
		}
		v, err := c.theVault()
		if err == nil {
			err = do(op, v)
		}
		if err != nil {
			c.o.Log.Warn("grace", "node", c.o.Name, "error", err)
		}
	})
}

func (c *core) tendGrace(op *operation, v *unlock.Vault) error {
	g := &c.grace
	if g.wanted == nil {
		return nil
	}
	lease, _ := v.Grace()
	if !g.wanted.On() {
		_, err := v.DropGrace()
		return err
	}
	if lease != nil && g.renewed && !lease.Due(*g.wanted, c.Now()) {
		return nil
	}
	k, err := op.dial(g.path, nil)
	if err == nil {
		err = v.Grant(op.ctx, k, c.claim(g.path.Where(boot.PhaseManaged)), *g.wanted, c.Now())
	}
	if err == nil {
		g.renewed, g.over = true, ""
	}
	return err
}

func (c *core) openByGrace(_ *operation, v *unlock.Vault) error {
	if _, open := v.AlreadyOpen(); open {
		return nil
	}
	if lease, _ := v.Grace(); lease == nil {
		return nil
	}
	r, _, err := v.RunGrace(context.Background(), c.Now())
	if err != nil {
		c.grace.over = err.Error()
		return err
	}
	c.open, c.grace.open, c.grace.over = r, true, ""
	return nil
}

// refused ends the grace of a node that an AC refuses.
func (c *core) refused(v *unlock.Vault, err error) {
	if errors.Is(err, api.ErrRefused) {
		_, _ = v.DropGrace()
	}
}

// graceText is what a console shows of it; empty: nothing.
func (c *core) graceText() string {
	if c.vault == nil {
		return ""
	}
	lease, byTPM := c.vault.Grace()
	switch {
	case lease == nil:
		return ""
	case c.grace.over != "":
		return c.grace.over
	}
	return grace.Standing(lease.Look(c.Now()), byTPM, c.grace.open)
}

// Open says whether the private volume is.
func (n *Node) Open() bool {
	if n.volume == nil {
		return false
	}
	state, err := n.volume.State()
	return err == nil && state == volume.Mounted
}
