package node

import (
	"context"
	"errors"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/unlock"
	"github.com/g8os/g8os/core/unlock/grace"
)

// graced is what the shell knows of a grace; under keys.mu.
type graced struct {
	wanted  *api.Grace    // as the AC says; nil: it has not said
	path    boot.Path     // of the session in which it said so
	changed chan struct{} // holds one token when that was news
	renewed bool          // since this g8os_core started: a TPM has counted the boot, whoever unlocked
	open    bool          // the volume was opened by grace, and no AC knows so yet
	over    string        // why it was not opened
}

// keepGrace makes a grace anew while there is an AC, and uses it when there is
// none: until ctx ends.
func (n *Node) keepGrace(ctx context.Context) {
	first := time.NewTimer(grace.After)
	defer first.Stop()
	every := time.NewTicker(grace.Every)
	defer every.Stop()
	for started := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-n.keys.grace.changed:
		case <-first.C:
			started = true
		case <-every.C:
		}
		switch {
		case n.work.managed():
			n.keys.tendGrace(ctx)
		case started && n.where.Load().Phase == string(boot.PhaseNetwork):
			n.openByGrace(ctx)
		default:
			n.keys.seenGrace()
		}
		n.post(boot.Tick{}) // the console shows what is left
	}
}

// managed says whether a session is open.
func (o *operations) managed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.sessions) > 0
}

// settleGrace takes the AC's word.
func (k *keys) settleGrace(g api.Grace) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.grace.wanted = &g
	select {
	case k.grace.changed <- struct{}{}:
	default:
	}
}

func (k *keys) setGracePath(p boot.Path) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.grace.path = p
}

// tendGrace makes the lease on the disk what the AC says. What cannot be done is
// tried again at the next look.
func (k *keys) tendGrace(ctx context.Context) {
	k.mu.Lock()
	wanted, path, renewed := k.grace.wanted, k.grace.path, k.grace.renewed
	k.mu.Unlock()
	if wanted == nil {
		return
	}
	k.work.Lock()
	defer k.work.Unlock()
	v, err := k.theVault()
	if err != nil {
		return
	}
	now := k.opt.Clock.Now()
	lease, _ := v.Grace()
	switch {
	case !wanted.On():
		k.dropGrace(v, "an operator ended it")
		return
	case lease != nil && renewed && !lease.Due(*wanted, now):
		return
	}
	ctx, cancel := context.WithTimeout(ctx, rotateLimit)
	defer cancel()
	conn, err := k.connect(ctx, path, nil)
	if err == nil {
		defer conn.Close()
		err = v.Grant(ctx, conn, k.claim(path.Where(boot.PhaseManaged)), *wanted, now)
	}
	if err != nil {
		k.log.Warn("the grace is not renewed", "error", err)
		return
	}
	k.mu.Lock()
	k.grace.renewed, k.grace.over = true, ""
	k.mu.Unlock()
	if lease == nil || lease.Terms != *wanted {
		k.log.Warn("grace is on: this node unlocks without an AC for a while", "for", wanted.For(), "boots", wanted.Boots, "tpm", v.Sealed())
	}
}

// dropGrace ends a grace. The caller holds work.
func (k *keys) dropGrace(v *unlock.Vault, why string) {
	if was, err := v.DropGrace(); err != nil {
		k.log.Warn("the grace stays, though it is over", "error", err)
	} else if was {
		k.log.Warn("grace is over: this node unlocks with an AC only", "reason", why)
	}
}

// seenGrace notes the time, which must not go back.
func (k *keys) seenGrace() {
	k.work.Lock()
	defer k.work.Unlock()
	v, err := k.theVault()
	if err == nil {
		err = v.GraceSeen(k.opt.Clock.Now())
	}
	if err != nil {
		k.log.Warn("the time is not noted for the grace", "error", err)
	}
}

// openByGrace opens the volume of a node that has not found an AC, and has sshd
// run. The node goes on looking, and is managed only with an AC.
func (n *Node) openByGrace(ctx context.Context) {
	opened, died := n.keys.openByGrace(ctx)
	if !opened {
		return
	}
	n.adoptJobs()
	n.apps.opened()
	n.watchVolume(died)
	n.work.startSSH()
}

func (k *keys) openByGrace(ctx context.Context) (opened bool, died <-chan struct{}) {
	k.work.Lock()
	defer k.work.Unlock()
	v, err := k.theVault()
	if err != nil {
		return false, nil // it says so where it matters: in phase unlock
	}
	if _, open := v.AlreadyOpen(); open {
		return false, nil
	}
	if lease, _ := v.Grace(); lease == nil {
		return false, nil
	}
	r, verdict, err := v.RunGrace(ctx, k.opt.Clock.Now())
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		if k.grace.over != err.Error() {
			k.log.Warn("no AC is found, and grace does not help", "error", err)
		}
		k.grace.over = err.Error()
		return false, nil
	}
	k.log.Warn("the volume is open without an AC, by grace", "left", verdict.Left, "boots_left", verdict.Boots)
	k.open, k.grace.open, k.grace.over = r, true, ""
	k.watched = v.Died()
	return true, k.watched
}

// graceText is what a console shows of it; empty: nothing.
func (k *keys) graceText() string {
	k.mu.Lock()
	v, over, open := k.vault, k.grace.over, k.grace.open
	k.mu.Unlock()
	if v == nil {
		return ""
	}
	lease, byTPM := v.Grace()
	if lease == nil {
		return ""
	}
	if over != "" {
		return over
	}
	return grace.Standing(lease.Look(k.opt.Clock.Now()), byTPM, open)
}

// refusedBy ends the grace of a node that an AC refuses: it may be quarantined or
// retired, which no node is told. The caller holds work.
func (k *keys) refusedBy(v *unlock.Vault, err error) {
	if errors.Is(err, api.ErrRefused) {
		k.dropGrace(v, "an AC refused this node")
	}
}
