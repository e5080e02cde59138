package template

import (
	"context"
	"os"

	"github.com/g8os/g8os/core/guest"
	"github.com/g8os/g8os/internal/qmp"
	"github.com/g8os/g8os/lab/vm/args"
	"github.com/g8os/g8os/lab/vm/frozen"
)

// A Rehearsal has the guest at the gate do what every clone will do, so that it
// is translated, loaded and unpacked, and leaves nothing of a node behind.
type Rehearsal struct {
	Text    string // of what is done: another text, another template
	Perform func(ctx context.Context, on Stage) error
}

// Stage is what a Rehearsal has.
type Stage struct {
	PID     int    // of QEMU, which is in a network namespace of its own
	Dir     string // for its files; it is removed
	Monitor *qmp.Conn
	Guest   *guest.Session
}

// rehearse may fail: clones are slower then, no less.
func rehearse(ctx context.Context, on Stage, o Options) error {
	if o.Rehearse == nil {
		return nil
	}
	if err := os.Mkdir(on.Dir, 0o700); err != nil {
		return err
	}
	if o.Library != "" {
		if err := frozen.Forget(on.PID); err != nil {
			return err
		}
	}
	defer os.RemoveAll(on.Dir)
	if err := o.Rehearse.Perform(ctx, on); err != nil {
		if ctx.Err() != nil {
			return err
		}
		o.Say("the guest could not rehearse what its clones will do: %v", err)
	}
	return nil
}

// frozenMiB is what the image of a process takes beside the guest's memory: what
// QEMU has, and code.
const frozenMiB = 128 + args.SharedTranslationMiB

// size is what a template takes at most.
func (o Options) size() int64 {
	mib := o.Spec.MemoryMiB
	if o.Library != "" {
		mib += frozenMiB
	}
	return int64(mib) << 20
}
