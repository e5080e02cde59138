package unlock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/unlock/keyslot"
	"github.com/g8os/g8os/internal/planted"
)

// turning is what one Rotate has learned; nothing of it outlives the process.
type turning struct {
	claim    api.Claim
	target   uint32
	password api.Secret // as an older slot gives it
	proved   bool
	told     bool
}

// The steps of a rotation, in their order. After each of them the disk has a
// slot for a generation whose share the AC still has.
const (
	stepAdd    step = "add"    // a slot for the new share, beside the old one
	stepProve  step = "prove"  // that the disk and the AC, each as it is now, open the new slot
	stepRemove step = "remove" // the old slots
	stepTell   step = "tell"   // the AC that it may forget the old shares
)

// turn is all that the choice of a rotation's step depends on.
type turn struct {
	damaged   bool // one copy of the slots has to be mended
	newer     bool // the disk has a later generation than the one asked for
	has       bool // the disk has a slot for the new share
	alone     bool // and no other
	proved    bool
	confirmed bool // the AC knows the new generation to be in use
	told      bool
}

// nextTurn chooses the step; the first case that holds counts. Proving counts
// in the process that did it only: one that is started again proves again, as
// long as the AC has not been told.
func nextTurn(f turn) step {
	switch {
	case f.newer:
		return stepDone
	case f.damaged:
		return stepMend
	case f.alone && f.told:
		return stepDone
	case f.alone && f.confirmed:
		return stepTell
	case !f.has:
		return stepAdd
	case !f.proved && !f.confirmed && !f.alone: // alone, it is what the volume was opened with
		return stepProve
	case !f.confirmed:
		return stepConfirm
	default:
		return stepRemove
	}
}

// Rotate has this disk locked with the AC's share of a generation that the AC
// has made for it, and with no older one: add, prove, remove. It may be cut
// short anywhere, and asked for again; what is done already is not done again.
// The volume, open or not, stays as it is. Errors are those of Run.
func (v *Vault) Rotate(ctx context.Context, ex Exchange, claim api.Claim, generation uint32) error {
	if v.slots == nil {
		return fmt.Errorf("rotate the unlock share: %w: there is no volume yet", ErrAnswer)
	}
	r := &turning{claim: claim, target: generation}
	defer func() { clear(r.password) }()
	for range maxSteps {
		s := nextTurn(v.turn(r))
		if s == stepDone {
			return nil
		}
		if err := v.rotate(ctx, ex, s, r); err != nil {
			return fmt.Errorf("rotate the unlock share (%s): %w", s, err)
		}
		if err := v.o.After(string(s)); err != nil {
			return err
		}
	}
	return errors.New("rotate the unlock share: the key slots do not stay as they were written")
}

func (v *Vault) turn(r *turning) turn {
	all := v.slots.Generations()
	has := slices.Contains(all, r.target)
	return turn{
		damaged: v.damaged, newer: all[len(all)-1] > r.target, has: has, alone: has && len(all) == 1,
		proved: r.proved, confirmed: has && v.slots.Confirmed() == r.target, told: r.told,
	}
}

func (v *Vault) rotate(ctx context.Context, ex Exchange, s step, r *turning) error {
	switch s {
	case stepMend:
		return v.save()
	case stepAdd:
		return v.add(ctx, ex, r)
	case stepProve:
		return v.prove(ctx, ex, r)
	case stepConfirm:
		return v.confirm(ctx, ex, &run{generation: r.target})
	case stepRemove:
		return v.remove(r.target)
	case stepTell:
		return v.tell(ctx, ex, r)
	}
	return fmt.Errorf("no such step: %s", s)
}

// tell has the AC forget the shares before the new one.
func (v *Vault) tell(ctx context.Context, ex Exchange, r *turning) error {
	r.told = true
	body := api.Confirm{NodeID: v.slots.Node(), Generation: r.target, Alone: true}
	return v.device.Post(ctx, ex, api.PathConfirm, api.PurposeConfirm, body, nil)
}

// add wraps the password for the new share.
func (v *Vault) add(ctx context.Context, ex Exchange, r *turning) error {
	password, share, err := v.both(ctx, ex, r)
	if err != nil {
		return err
	}
	defer clear(password)
	slots, err := v.fresh()
	if err != nil {
		return err
	}
	if err := slots.AddUnlock(r.target, share, password); err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if planted.Is(planted.SlotToldEarly) {
		if err := v.tell(ctx, ex, r); err != nil {
			return err
		}
	}
	if err := slots.Save(v.o.Disk, v.o.Dir); err != nil {
		return err
	}
	v.slots = slots
	return nil
}

// prove opens the new slot as it is on the disk with the share as the AC has it
// now, and sees that it holds what the old slot holds. A slot that does not is
// made again.
func (v *Vault) prove(ctx context.Context, ex Exchange, r *turning) error {
	slots, err := v.fresh()
	if err != nil {
		return err
	}
	v.slots = slots
	password, share, err := v.both(ctx, ex, r)
	if err != nil {
		return err
	}
	defer clear(password)
	got, err := slots.OpenUnlock(r.target, share)
	defer clear(got)
	if err == nil && !bytes.Equal(got, password) {
		err = keyslot.ErrKey
	}
	if err != nil {
		return errors.Join(fmt.Errorf("the new slot does not open: %w", err), v.remove1(r.target))
	}
	r.proved = true
	return nil
}

// both asks the AC for all shares, and returns the password as an older slot
// gives it, and the new share.
func (v *Vault) both(ctx context.Context, ex Exchange, r *turning) (password, share api.Secret, err error) {
	asked := &run{claim: r.claim, more: []uint32{r.target}}
	if err := v.ask(ctx, ex, asked); err != nil {
		return nil, nil, err
	}
	older := slices.DeleteFunc(slices.Clone(asked.granted.Shares), func(s api.Share) bool { return s.Generation == r.target })
	if len(older) == len(asked.granted.Shares) {
		return nil, nil, fmt.Errorf("%w: it has no share of generation %d", ErrAnswer, r.target)
	}
	for _, s := range asked.granted.Shares {
		if s.Generation == r.target {
			share = s.Share
		}
	}
	asked.granted.Shares = older
	if err := v.openSlot(asked); err != nil {
		return nil, nil, err
	}
	return asked.password, share, nil
}

// fresh reads the slots as they are on the disk: what is in memory must not be
// ahead of it when a write fails.
func (v *Vault) fresh() (*keyslot.File, error) {
	slots, damage, err := keyslot.Load(v.o.Disk, v.o.Dir)
	if err != nil {
		return nil, err
	}
	v.equip(slots)
	v.damaged = damage != nil
	return slots, nil
}

// remove forgets the slots before a generation. By then both copies of the file
// have the new slot: confirm has saved it a second time.
func (v *Vault) remove(target uint32) error {
	slots, err := v.fresh()
	if err != nil {
		return err
	}
	for _, g := range slots.Generations() {
		if g == target {
			continue
		}
		if err := slots.Remove(g); err != nil {
			return err
		}
	}
	slots.SetConfirmed(target)
	if err := slots.Save(v.o.Disk, v.o.Dir); err != nil {
		return err
	}
	v.slots = slots
	return nil
}

// remove1 forgets one slot that opens nothing, so that it is made again.
func (v *Vault) remove1(target uint32) error {
	if err := v.slots.Remove(target); err != nil {
		return err
	}
	return v.save()
}
