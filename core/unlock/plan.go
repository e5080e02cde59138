package unlock

import (
	"github.com/g8os/g8os/core/unlock/volume"
)

// step is one thing to do on the way to an open volume. After each of them the
// disk is in a state from which next finds on.
type step string

const (
	stepClear    step = "clear"    // take a dead mount away
	stepMend     step = "mend"     // save the key-slot file again: one copy was damaged
	stepAsk      step = "ask"      // the AC for shares
	stepSlots    step = "slots"    // make password and key-slot file
	stepOpen     step = "open"     // a slot, with a share
	stepInit     step = "init"     // make the volume
	stepMount    step = "mount"    // it
	stepBind     step = "bind"     // the slots to the TPM: they are older than it
	stepConfirm  step = "confirm"  // to the AC that the generation is in use
	stepDone     step = "done"     // nothing
	stepOperator step = "operator" // wait for a person: there is ciphertext, and nothing that opens it
)

// facts is all that the choice of a step depends on.
type facts struct {
	volume    volume.State
	slots     bool // there is a key-slot file
	damaged   bool // one of its copies has to be mended
	asked     bool // the AC has given shares
	password  bool // a slot was opened
	unbound   bool // there is a TPM, and a slot on the disk opens without
	confirmed bool // the AC knows a generation of this disk to be in use
}

// next chooses the step. Its cases are in order: the first that holds counts.
//
//	first boot   ask → slots → init → mount → confirm → done
//	later boots  ask → open → mount → confirm → done
//	new core     done (volume mounted and confirmed)
func next(f facts) step {
	switch {
	case f.volume == volume.Dead:
		return stepClear
	case f.volume == volume.Broken, f.volume != volume.Absent && !f.slots:
		return stepOperator
	case f.damaged:
		return stepMend
	case f.volume == volume.Mounted && f.confirmed:
		return stepDone
	case !f.asked:
		return stepAsk
	case !f.slots:
		return stepSlots
	case !f.password:
		return stepOpen
	case f.volume == volume.Absent:
		return stepInit
	case f.volume == volume.Made:
		return stepMount
	case f.unbound:
		return stepBind
	default:
		return stepConfirm
	}
}
