package node

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/find"
	"github.com/g8os/g8os/core/node/verdict"
	"github.com/g8os/g8os/core/secure"
	"github.com/g8os/g8os/core/unlock"
)

// try asks whether an AC is at a path.
func (c *core) try(op *operation, e boot.Try) boot.Tried {
	k, err := op.dial(e.Path, nil)
	if err != nil {
		return boot.Tried{ID: e.ID, Err: err.Error(), Late: errors.Is(err, find.ErrLate)}
	}
	hello, err := k.hello()
	if err != nil {
		return boot.Tried{ID: e.ID, Err: err.Error()}
	}
	return boot.Tried{ID: e.ID, Faults: hello.Faults}
}

// theVault opens the folder with the keys, once it can be opened.
func (c *core) theVault() (*unlock.Vault, error) {
	if c.vault != nil {
		return c.vault, nil
	}
	v, err := unlock.Open(unlock.Options{
		Dir: dir, Mount: mount, RunDir: "/run/g8os", Log: c.o.Log,
		Disk: c.disk, Volume: c.volume, Rand: c.random(), Now: c.Now,
	})
	if err == nil {
		c.vault = v
	}
	return v, err
}

// claim is what the node says of itself.
func (c *core) claim(where api.Whereabouts) api.Claim {
	claim := api.Claim{Hostname: c.o.Name, Where: where}
	for _, x := range c.Host.NICs {
		claim.MACs = append(claim.MACs, x.MAC)
	}
	slices.Sort(claim.MACs)
	claim.MACs = slices.Compact(claim.MACs)
	return claim
}

// unlock opens the volume, as core/node does.
func (c *core) unlock(op *operation, e boot.Unlock) boot.Unlocked {
	fail := func(err error) boot.Unlocked { return boot.Unlocked{ID: e.ID, Failure: verdict.Of(err)} }
	if err := op.lock(); err != nil {
		return fail(err)
	}
	v, err := c.theVault()
	if err != nil {
		return fail(err)
	}
	r, isOpen := v.AlreadyOpen()
	if !isOpen || e.Prove || c.grace.open {
		k, err := op.dial(e.Path, nil)
		if err != nil {
			return fail(err)
		}
		claim := c.claim(e.Path.Where(boot.PhaseUnlock))
		if isOpen {
			err = v.Prove(op.ctx, k, claim)
		} else {
			r, err = v.Run(op.ctx, k, claim)
		}
		if err != nil {
			c.refused(v, err)
			return fail(err)
		}
	}
	c.open, c.grace.open, c.grace.over = r, false, ""
	return boot.Unlocked{ID: e.ID, NodeID: string(r.NodeID)}
}

func (c *core) identity() api.Identity {
	return api.Identity{Grid: c.open.Grid, Role: api.RoleNode, Name: string(c.open.NodeID)}
}

func (c *core) load() (secure.Credentials, error) {
	return secure.Load(c.Volume(), sslDir, c.identity(), c.Now())
}

// loadFor loads the certificate for use with an AC, as core/node does.
func (c *core) loadFor(op *operation, p boot.Path) (secure.Credentials, error) {
	has, err := c.load()
	if !errors.Is(err, secure.ErrNotYet) {
		return has, err
	}
	k, err := op.dial(p, nil)
	if err != nil {
		return has, err
	}
	defer k.close()
	if err := k.compareClock(); err != nil {
		return has, fmt.Errorf("comparing the clock: %w", err)
	}
	return c.load()
}

// secure says when the certificate wants renewing, after fetching one where
// that is needed, as core/node does.
func (c *core) secure(op *operation, e boot.Secure) boot.Secured {
	fail := func(err error) boot.Secured { return boot.Secured{ID: e.ID, Failure: verdict.Of(err)} }
	if err := op.lock(); err != nil {
		return fail(err)
	}
	if !e.Renew {
		if has, err := c.loadFor(op, e.Path); err == nil {
			return boot.Secured{ID: e.ID, RenewAt: c.renewAt(has, has.Leaf.NotBefore)}
		}
	}
	v, err := c.theVault()
	if err != nil {
		return fail(err)
	}
	k, err := op.dial(e.Path, nil)
	if err != nil {
		return fail(err)
	}
	got, _, err := secure.Obtain(op.ctx, k, v.Device(), secure.Request{
		Dir: sslDir, ID: c.identity(), Pinned: c.o.Judge.Pinned(), Now: c.Now(), Disk: c.Volume(), Rand: c.random(),
	})
	if errors.Is(err, secure.ErrNotYet) {
		if cerr := k.compareClock(); cerr != nil {
			return fail(fmt.Errorf("%s: comparing the clock: %w", err.Error(), cerr))
		}
	}
	if err != nil {
		return fail(err)
	}
	return boot.Secured{ID: e.ID, RenewAt: c.renewAt(got, c.Now())}
}

// renewAt turns the certificate's calendar into that of the boot machine.
func (c *core) renewAt(has secure.Credentials, issued time.Time) time.Time {
	at := secure.RenewAt(has.Leaf, issued, c.rng.Uint64())
	return c.monotonic().Add(at.Sub(c.Now()))
}

// connect opens a session. The certificate is read from the volume each time,
// so that a damaged one is noticed and replaced.
func (c *core) connect(op *operation, e boot.Connect) boot.Connected {
	fail := func(err error) boot.Connected { return boot.Connected{ID: e.ID, Failure: verdict.Of(err)} }
	has, err := c.loadFor(op, e.Path)
	if err != nil {
		return fail(err)
	}
	chain := []*x509.Certificate{has.Leaf}
	for _, der := range has.Certificate.Certificate[1:] {
		issuer, err := x509.ParseCertificate(der)
		if err != nil {
			return fail(errors.Join(secure.ErrDamaged, err))
		}
		chain = append(chain, issuer)
	}
	k, err := op.dial(e.Path, chain)
	if err != nil {
		return fail(err)
	}
	r, err := k.ask(api.PathSession, nil)
	if err != nil {
		return fail(err)
	}
	if err := upgraded(r); err != nil {
		return fail(err)
	}
	c.begin(e, k)
	return boot.Connected{ID: e.ID}
}
