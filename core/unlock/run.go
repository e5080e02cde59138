package unlock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/unlock/keyslot"
	"github.com/g8os/g8os/core/unlock/volume"
	"github.com/g8os/g8os/internal/planted"
)

// run is what one Run has learned; nothing of it outlives the process.
type run struct {
	claim      api.Claim
	more       []uint32 // generations to ask for beside those on the disk
	asked      bool
	granted    api.Unlocked
	password   api.Secret
	generation uint32 // of the share that opened a slot
	confirmed  bool   // in this run
	bound      bool   // the slots, to the TPM, as far as the AC has shares
	first      bool
}

// maxSteps bounds a run: each step is taken once, clear and mend before them.
const maxSteps = 10

// Run opens the volume with the AC's share, and makes it at the first boot. Of
// the claim it needs MACs, Hostname and Where, and fills in the rest. Errors
// wrap api.ErrRefused, ErrAnswer or ErrOperator; see there.
func (v *Vault) Run(ctx context.Context, ex Exchange, claim api.Claim) (Result, error) {
	r := &run{claim: claim}
	defer func() { clear(r.password) }()
	for range maxSteps {
		f, err := v.facts(r)
		if err != nil {
			return Result{}, err
		}
		s := next(f)
		if s == stepDone {
			return v.done(r)
		}
		if err := v.do(ctx, ex, s, r); err != nil {
			return Result{}, fmt.Errorf("unlock (%s): %w", s, err)
		}
		if err := v.o.After(string(s)); err != nil {
			return Result{}, err
		}
	}
	return Result{}, errors.New("unlock: the volume does not stay mounted")
}

// done hands over an open volume. One that an earlier core mounted and that
// has no daemon we could watch is closed, so that the next Run mounts it.
func (v *Vault) done(r *run) (Result, error) {
	if err := v.volume.Adopt(); err != nil {
		return Result{}, errors.Join(err, v.volume.Unmount(context.Background()))
	}
	result := v.result(v.slots.Confirmed())
	result.FirstBoot = r.first
	return result, nil
}

// facts looks at the disk, and at what r has learned.
func (v *Vault) facts(r *run) (facts, error) {
	state, err := v.volume.State()
	if err != nil {
		return facts{}, err
	}
	f := facts{volume: state, slots: v.slots != nil, damaged: v.damaged, asked: r.asked, password: r.password != nil}
	if f.slots {
		f.unbound = !r.bound && v.slots.TPM != nil && keyslot.Unbound(v.o.Disk, v.o.Dir)
		f.confirmed = r.confirmed || !r.asked && slices.Contains(v.slots.Generations(), v.slots.Confirmed())
	}
	return f, nil
}

func (v *Vault) do(ctx context.Context, ex Exchange, s step, r *run) error {
	switch s {
	case stepClear:
		return v.volume.Unmount(ctx)
	case stepOperator:
		return v.operator()
	case stepMend:
		return v.save()
	case stepAsk:
		return v.ask(ctx, ex, r)
	case stepSlots:
		return v.makeSlots(r)
	case stepOpen:
		return v.openSlot(r)
	case stepInit:
		r.first = true
		return v.init(ctx, r.password)
	case stepMount:
		return v.mount(ctx, r.password)
	case stepBind:
		return v.bind(r)
	case stepConfirm:
		return v.confirm(ctx, ex, r)
	}
	return fmt.Errorf("no such step: %s", s)
}

func (v *Vault) init(ctx context.Context, password api.Secret) error {
	err := v.volume.Init(ctx, password)
	if errors.Is(err, volume.ErrTool) || errors.Is(err, volume.ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrOperator, err)
	}
	return err
}

func (v *Vault) save() error {
	if err := v.slots.Save(v.o.Disk, v.o.Dir); err != nil {
		return err
	}
	v.damaged = false
	return nil
}

// ask requests the shares of all generations on this disk, or the first one.
func (v *Vault) ask(ctx context.Context, ex Exchange, r *run) error {
	counter, err := v.device.NextCounter()
	if err != nil {
		return err
	}
	r.claim.BootID, r.claim.Counter, r.claim.Generations = v.device.BootID(), counter, nil
	if v.slots != nil {
		r.claim.Generations = slices.Concat(v.slots.Generations(), r.more)
		slices.Sort(r.claim.Generations)
		r.claim.Generations = slices.Compact(r.claim.Generations)
	}
	if err := v.device.Post(ctx, ex, api.PathUnlock, api.PurposeUnlock, r.claim, &r.granted); err != nil {
		return err
	}
	g := r.granted
	switch {
	case len(g.Shares) == 0 || g.NodeID.MAC() == "" || g.Grid == "":
		return fmt.Errorf("%w: it grants, but names no node, grid or share", ErrAnswer)
	case v.slots != nil && g.NodeID != v.slots.Node():
		return fmt.Errorf("%w: it takes this node for %s, the key slots are those of %s", ErrAnswer, g.NodeID, v.slots.Node())
	}
	r.asked = true
	return nil
}

// makeSlots invents the volume's password and saves it wrapped. A disk that
// lost its slots and its volume comes here too; the AC then keeps back the
// recovery key, which it hands out until the first confirmation only.
func (v *Vault) makeSlots(r *run) error {
	password := make(api.Secret, keyslot.ShareSize)
	if _, err := io.ReadFull(v.o.Rand, password); err != nil {
		return fmt.Errorf("make a password: %w", err)
	}
	slots, share := keyslot.New(r.granted.NodeID, r.granted.Grid), r.granted.Shares[0]
	v.equip(slots)
	if err := slots.AddUnlock(share.Generation, share.Share, password); err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if len(r.granted.Recovery) == 0 {
		v.o.Log.Warn("the AC gave no recovery key: this volume opens with the AC only", "node", r.granted.NodeID)
	} else if err := slots.AddRecovery(r.granted.Recovery, password); err != nil {
		return fmt.Errorf("%w: recovery key: %w", ErrAnswer, err)
	}
	if planted.Is(planted.SlotsLate) { // confirm saves them
		v.slots, r.password, r.generation = slots, password, share.Generation
		return nil
	}
	if err := slots.Save(v.o.Disk, v.o.Dir); err != nil {
		return err
	}
	v.slots, r.password, r.generation = slots, password, share.Generation
	return nil
}

// openSlot tries the shares, newest generation first.
func (v *Vault) openSlot(r *run) error {
	shares := slices.SortedFunc(slices.Values(r.granted.Shares), func(a, b api.Share) int {
		return int(int64(b.Generation) - int64(a.Generation))
	})
	var failed error
	for _, s := range shares {
		password, err := v.slots.OpenUnlock(s.Generation, s.Share)
		if err == nil {
			r.password, r.generation = password, s.Generation
			return nil
		}
		failed = errors.Join(failed, err)
	}
	if errors.Is(failed, keyslot.ErrTPM) {
		return fmt.Errorf("%w: %w; %s", ErrOperator, failed, wayOut)
	}
	return fmt.Errorf("%w: %w: the AC's shares are not those this disk was locked with: restore the AC's data or "+
		"the key-slot file, or use the recovery key on the console", ErrOperator, failed)
}

// confirm tells the AC which generation is in use, and notes that it knows.
func (v *Vault) confirm(ctx context.Context, ex Exchange, r *run) error {
	body := api.Confirm{NodeID: v.slots.Node(), Generation: r.generation}
	if err := v.device.Post(ctx, ex, api.PathConfirm, api.PurposeConfirm, body, nil); err != nil {
		return err
	}
	r.confirmed = true
	if v.slots.Confirmed() == r.generation {
		return nil
	}
	v.slots.SetConfirmed(r.generation)
	return v.save()
}
