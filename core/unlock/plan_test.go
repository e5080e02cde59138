package unlock

import (
	"testing"

	"github.com/g8os/g8os/core/unlock/volume"
)

// model is what a step does to the facts, when it succeeds.
func model(s step, f facts) facts {
	switch s {
	case stepClear:
		f.volume = volume.Made
	case stepMend:
		f.damaged = false
	case stepAsk:
		f.asked, f.confirmed = true, false
	case stepSlots:
		f.slots, f.password = true, true
	case stepOpen:
		f.password = true
	case stepInit:
		f.volume = volume.Made
	case stepMount:
		f.volume = volume.Mounted
	case stepBind:
		f.unbound = false
	case stepConfirm:
		f.confirmed = true
	}
	return f
}

func every(visit func(facts)) {
	both := []bool{false, true}
	for _, state := range []volume.State{volume.Absent, volume.Made, volume.Mounted, volume.Dead, volume.Broken} {
		for _, slots := range both {
			for _, damaged := range both {
				for _, confirmed := range both {
					for _, unbound := range both {
						visit(facts{volume: state, slots: slots, damaged: damaged && slots, confirmed: confirmed && slots, unbound: unbound && slots})
					}
				}
			}
		}
	}
}

// From every state a disk can be in, killed after any number of steps, a node
// comes to an open volume; or to the operator, when there is ciphertext that
// nothing opens.
func TestEveryDiskLeadsToAnOpenVolumeOrToTheOperator(t *testing.T) {
	every(func(begin facts) {
		hopeless := begin.volume == volume.Broken || begin.volume != volume.Absent && !begin.slots
		for kill := range maxSteps {
			f, last := begin, stepDone
			for n := range kill + maxSteps {
				if n == kill { // the next process knows what is on the disk, no more
					f.asked, f.password = false, false
				}
				if last = next(f); last == stepDone || last == stepOperator {
					break
				}
				if (last == stepSlots || last == stepInit) && f.volume != volume.Absent {
					t.Fatalf("%+v: %s where there is ciphertext", f, last)
				}
				f = model(last, f)
			}
			if hopeless != (last == stepOperator) || !hopeless && last != stepDone {
				t.Errorf("from %+v, killed after %d steps: ends with %s", begin, kill, last)
			}
		}
	})
}

func TestDoneIsOpenAndConfirmed(t *testing.T) {
	every(func(f facts) {
		if next(f) == stepDone && (f.volume != volume.Mounted || !f.confirmed || !f.slots || f.damaged) {
			t.Errorf("%+v is called done", f)
		}
	})
}
