// Package unlock opens a node's private configuration: with the AC's share of
// the key, or with the operator's recovery key.
//
//	  AC share ──┐
//	disk share ──┼─ HKDF ─▶ KEK ─▶ one slot of the key-slot file ─▶ password ─▶ gocryptfs volume
//	 TPM share ──┘                 (dir/keyslots)                               (dir/private → mount)
//	(where there is one)
//
// It promises that neither the disk nor the AC opens the volume alone, nor both
// without the machine's TPM, where it has one; that a
// kill -9 between any two of its steps leaves a node that boots, because every
// step is chosen from what is on the disk (plan.go), not from memory; and that
// it never destroys ciphertext. It is not the connection to the AC: that is an
// Exchange, made by core/find.
package unlock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/unlock/device"
	"github.com/g8os/g8os/core/unlock/keyslot"
	"github.com/g8os/g8os/core/unlock/volume"
	"github.com/g8os/g8os/internal/planted"
)

// Exchange is one TLS connection to an AC that has proved itself.
type Exchange = device.Exchange

// What a failed unlock asks of the caller. An error that wraps none of these
// and not api.ErrRefused either is a broken exchange: try again, or another AC.
var (
	// ErrAnswer: the AC's answer cannot be used; another AC may do better.
	ErrAnswer = errors.New("the AC's answer cannot be used")
	// ErrOperator: trying again changes nothing until somebody acts; the
	// error says what to do. Nothing was destroyed.
	ErrOperator = errors.New("the operator is needed")
)

// Options says where things are.
type Options struct {
	Dir       string       // keys and ciphertext: /etc/g8os
	Mount     string       // where the volume appears: /mnt/etc
	RunDir    string       // pid files and logs of children, gone after a reboot: /run/g8os
	Gocryptfs string       // path of gocryptfs; empty: beside this executable, then PATH
	Log       *slog.Logger // nil: slog.Default
	// Recovery opens the folder for RunRecovery only: then the device key may be lost.
	Recovery bool
	// WithoutTPM says, for RunRecovery, that this machine's TPM will not come back:
	// without one, the disk keeps in clear what the TPM kept.
	WithoutTPM bool

	// What a simulator and tests put in the place of a machine's.
	Disk   durable.Disk            // of Dir; nil: durable.OS
	Volume Volume                  // nil: gocryptfs on Dir/private, with its plain content at Mount
	Rand   io.Reader               // of keys, shares and ids; nil: crypto/rand
	Now    func() time.Time        // nil: time.Now
	TPM    device.Sealer           // of the machine; nil: it has none
	After  func(step string) error // called after each step of Run, which ends with its error; nil: goes on
}

// Volume is the private volume that a Vault opens: volume.Volume, or the one in
// memory beside it. See there for what the methods promise.
type Volume interface {
	State() (volume.State, error)
	Broken() error
	Init(ctx context.Context, password api.Secret) error
	Mount(ctx context.Context, password api.Secret) error
	Adopt() error
	Died() <-chan struct{}
	Unmount(ctx context.Context) error
}

// complete puts the machine's own in the place of what is nil.
func (o *Options) complete() {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Disk == nil {
		o.Disk = durable.OS
	}
	if o.Volume == nil {
		o.Volume = volume.New(volume.Options{
			Cipher: filepath.Join(o.Dir, "private"), Mount: o.Mount, RunDir: o.RunDir, Binary: o.Gocryptfs, Log: o.Log,
		})
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = func(string) error { return nil }
	}
}

// Result is what an unlocked node knows about itself.
type Result struct {
	NodeID     api.NodeID
	Grid       string
	Generation uint32 // of the AC's share that is in use; 0: opened with the recovery key, not confirmed
	FirstBoot  bool   // the volume was made just now
	TPM        TPMUse
}

// TPMUse says what a machine's TPM has to do with its volume.
type TPMUse string

// The uses.
const (
	TPMUnused TPMUse = ""     // nothing: there is none
	TPMKeeps  TPMUse = "tpm"  // it opens with the TPM's share only, or with the recovery key
	TPMLost   TPMUse = "lost" // it does not open with the AC any more: the TPM's share is gone
)

// Vault is one node's private configuration, locked or open. Its methods are
// for one goroutine at a time, except Died.
type Vault struct {
	o       Options
	device  *device.Device
	volume  Volume
	slots   *keyslot.File // nil: none on disk
	damaged bool          // one copy of the slots on disk is
}

// Open reads the device key (made at the first boot) and the key-slot file. It
// opens no volume. Errors wrap ErrOperator where somebody has to act.
func Open(o Options) (*Vault, error) {
	o.complete()
	v := &Vault{o: o, volume: o.Volume}
	slots, damage, err := keyslot.Load(o.Disk, o.Dir)
	slotFile := filepath.Join(o.Dir, keyslot.Name)
	switch {
	case err == nil:
		v.slots, v.damaged = slots, damage != nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %w: restore %s from a backup, or move it and the folder private away, and approve the node anew",
			ErrOperator, err, slotFile)
	}
	if damage != nil {
		o.Log.Warn("one copy of the key-slot file is damaged, the other one is used", "error", damage)
	}
	if v.device, err = device.Open(v.deviceOptions()); err != nil && !o.Recovery {
		return nil, withoutDevice(err)
	}
	if v.slots != nil {
		v.equip(v.slots)
	}
	return v, nil
}

func (v *Vault) deviceOptions() device.Options {
	return device.Options{
		Dir: v.o.Dir, Dependents: []string{filepath.Join(v.o.Dir, keyslot.Name)}, Disk: v.o.Disk, Rand: v.o.Rand, Now: v.o.Now,
		TPM: v.o.TPM, ShareInUse: v.slots != nil && v.slots.NeedsTPM(), Log: v.o.Log,
	}
}

// equip gives slots what they need beside the AC's share.
func (v *Vault) equip(f *keyslot.File) {
	f.Rand = v.o.Rand
	if v.device != nil && v.device.Share() != nil {
		f.TPM = &keyslot.TPM{Share: v.device.Share(), Kept: v.device.Kept()}
	}
}

// wayOut is what an operator can do about a TPM that is lost.
const wayOut = "if it will not come back, type the recovery key (g8os_core recover; g8os recovery show NODE tells it); " +
	"without that key: g8os node retire NODE, then g8os_core recover --give-up, and approve the node as a new one"

// withoutDevice says what is to be done without a device key.
func withoutDevice(err error) error {
	switch {
	case errors.Is(err, device.ErrSealed):
		return fmt.Errorf("%w: %w; was the TPM cleared or switched off, or the board or the disk changed? %s", ErrOperator, err, wayOut)
	case errors.Is(err, device.ErrDamaged):
		return fmt.Errorf("%w: %w", ErrOperator, err)
	}
	return err
}

// Device returns the machine's device key, for secure.Obtain and for the
// fingerprint that an operator sees.
func (v *Vault) Device() *device.Device { return v.device }

// Node returns the node's id and grid as the AC once told them; empty before
// the first unlock.
func (v *Vault) Node() (api.NodeID, string) {
	if v.slots == nil {
		return "", ""
	}
	return v.slots.Node(), v.slots.Grid()
}

// AlreadyOpen reports whether the volume is mounted and works, and the AC
// knows so: the core was restarted, and there is nothing to unlock.
func (v *Vault) AlreadyOpen() (Result, bool) {
	f, err := v.facts(&run{})
	if planted.Is(planted.OpenUnmounted) && v.slots != nil {
		return v.result(v.slots.Confirmed()), true // whether it is or not
	}
	if err != nil || next(f) != stepDone || v.volume.Adopt() != nil {
		return Result{}, false
	}
	return v.result(v.slots.Confirmed()), true
}

// Prove shows an AC once more who this node is, while the volume stays as it
// is: for a node whose certificate does not hold. Errors are those of Run.
func (v *Vault) Prove(ctx context.Context, ex Exchange, claim api.Claim) error {
	if err := v.ask(ctx, ex, &run{claim: claim}); err != nil {
		return fmt.Errorf("unlock (prove): %w", err)
	}
	return nil
}

// RunRecovery opens the volume with the operator's recovery key (32 bytes),
// without an AC. A wrong key is keyslot.ErrKey.
func (v *Vault) RunRecovery(ctx context.Context, key api.Secret) (Result, error) {
	f, err := v.facts(&run{})
	switch {
	case err != nil:
		return Result{}, err
	case next(f) == stepOperator:
		return Result{}, v.operator()
	case !f.slots || f.volume == volume.Absent:
		return Result{}, fmt.Errorf("%w: there is no volume yet, so nothing to recover: connect the node to an AC", ErrOperator)
	}
	open := f.volume == volume.Mounted && v.volume.Adopt() == nil
	if open && !v.slots.NeedsTPM() {
		return v.result(0), nil
	}
	if !open { // what is dead, or has a daemon that we do not know
		if err := v.volume.Unmount(ctx); err != nil {
			return Result{}, err
		}
	}
	password, err := v.slots.OpenRecovery(key)
	if err != nil {
		return Result{}, err
	}
	defer clear(password)
	r := v.result(0)
	if r.TPM = v.restore(password); open {
		return r, nil
	}
	return r, v.mount(ctx, password)
}

// Died is closed when the open volume's daemon is gone, also by Close: the
// volume has to be opened again. Nil, which never fires, before Run,
// RunRecovery or AlreadyOpen succeeded; ask again after each of them.
func (v *Vault) Died() <-chan struct{} { return v.volume.Died() }

// Close unmounts the volume.
func (v *Vault) Close(ctx context.Context) error { return v.volume.Unmount(ctx) }

func (v *Vault) result(generation uint32) Result {
	r := Result{NodeID: v.slots.Node(), Grid: v.slots.Grid(), Generation: generation}
	if v.slots.NeedsTPM() {
		r.TPM = TPMKeeps
	}
	return r
}

// mount opens the volume; what only a person can mend is marked so.
func (v *Vault) mount(ctx context.Context, password api.Secret) error {
	err := v.volume.Mount(ctx, password)
	switch {
	case errors.Is(err, volume.ErrPassword):
		return fmt.Errorf("%w: the key slots and the volume do not belong together: restore both from one backup: %w", ErrOperator, err)
	case errors.Is(err, volume.ErrDamaged), errors.Is(err, volume.ErrTool):
		return fmt.Errorf("%w: %w", ErrOperator, err)
	}
	return err
}

// operator says what is wrong where ciphertext has lost what opens it.
func (v *Vault) operator() error {
	if state, err := v.volume.State(); err != nil || state == volume.Broken {
		return errors.Join(err, fmt.Errorf("%w: %w", ErrOperator, v.volume.Broken()))
	}
	return fmt.Errorf("%w: there is a volume, but no key-slot file to open it: restore %s from a backup; "+
		"to give up the volume's content, move the folder private away", ErrOperator, filepath.Join(v.o.Dir, keyslot.Name))
}
