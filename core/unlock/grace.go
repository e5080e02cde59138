package unlock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/unlock/grace"
	"github.com/g8os/g8os/core/unlock/keyslot"
	"github.com/g8os/g8os/core/unlock/tpm"
	"github.com/g8os/g8os/core/unlock/volume"
)

// graceFile is a grace on the disk. Without the file there is none, so it has no
// second copy.
const graceFile = "grace"

// ErrGrace is wrapped when a volume is not opened without an AC.
var ErrGrace = errors.New("not opened without an AC")

// limiter is a TPM that holds limits: tpm.TPM.
type limiter interface {
	SealUntil(secret []byte, l tpm.Limit) ([]byte, error)
	Counts() (tpm.Counts, error)
}

// graced is the content of graceFile. The key of its slot is sealed by the TPM, or
// in clear where there is none: then the disk alone opens the volume.
type graced struct {
	Lease  grace.Lease     `json:"lease"`
	Slot   []byte          `json:"slot"`
	Sealed json.RawMessage `json:"sealed,omitempty"`
	Clear  []byte          `json:"clear,omitempty"`
}

func (v *Vault) gracePath() string { return filepath.Join(v.o.Dir, graceFile) }

// readGrace returns nil when there is none, or none that can be read.
func (v *Vault) readGrace() *graced {
	raw, err := v.o.Disk.ReadFile(v.gracePath())
	if err != nil {
		return nil
	}
	var g graced
	if err := json.Unmarshal(raw, &g); err != nil {
		v.o.Log.Warn("the grace on the disk is damaged, and does not count", "error", err)
		return nil
	}
	return &g
}

func (v *Vault) writeGrace(g *graced) error {
	raw, err := json.Marshal(g)
	if err != nil {
		return err
	}
	return durable.Write(v.o.Disk, v.gracePath(), raw, 0o600)
}

// Grace returns the lease on the disk, and whether a TPM holds it; nil: none.
func (v *Vault) Grace() (l *grace.Lease, byTPM bool) {
	g := v.readGrace()
	if g == nil {
		return nil, false
	}
	return &g.Lease, g.Sealed != nil
}

// Grant makes a grace, or makes it anew: while there is an AC. For the first one
// it asks the AC for a share once more, as the volume's password is not in memory.
func (v *Vault) Grant(ctx context.Context, ex Exchange, claim api.Claim, terms api.Grace, now time.Time) error {
	if v.slots == nil {
		return fmt.Errorf("grace: %w: there is no volume yet", ErrAnswer)
	}
	g := v.readGrace()
	var key api.Secret
	if g != nil {
		key, _ = v.graceKey(g) // whose limits are passed is made from the beginning
	}
	if key == nil {
		var err error
		if g, key, err = v.newGrace(ctx, ex, claim); err != nil {
			return fmt.Errorf("grace: %w", err)
		}
	}
	defer clear(key)
	g.Lease = grace.Contact(terms, now)
	if err := v.limit(g, key); err != nil {
		return fmt.Errorf("grace: %w", err)
	}
	if err := v.writeGrace(g); err != nil {
		return fmt.Errorf("grace: %w", err)
	}
	return nil
}

// newGrace wraps the password for a new key.
func (v *Vault) newGrace(ctx context.Context, ex Exchange, claim api.Claim) (*graced, api.Secret, error) {
	r := &run{claim: claim}
	defer func() { clear(r.password) }()
	if err := v.ask(ctx, ex, r); err != nil {
		return nil, nil, err
	}
	if err := v.openSlot(r); err != nil {
		return nil, nil, err
	}
	key := make(api.Secret, keyslot.ShareSize)
	if _, err := io.ReadFull(v.o.Rand, key); err != nil {
		return nil, nil, err
	}
	slot, err := keyslot.WrapGrace(v.slots.Node(), key, r.password, v.o.Rand)
	return &graced{Slot: slot}, key, err
}

// limit gives the key into the keeping of the TPM, until the lease ends.
func (v *Vault) limit(g *graced, key api.Secret) error {
	chip, ok := v.o.TPM.(limiter)
	if !ok || !v.o.TPM.Present() {
		g.Clear, g.Sealed = key, nil
		return nil
	}
	now, err := chip.Counts()
	if err != nil {
		return err
	}
	sealed, err := chip.SealUntil(key, now.Limit(g.Lease.Terms.For(), g.Lease.Terms.Boots))
	g.Clear, g.Sealed = nil, sealed
	return err
}

// graceKey is the key of a grace, as the TPM gives it.
func (v *Vault) graceKey(g *graced) (api.Secret, error) {
	if g.Sealed == nil {
		return g.Clear, nil
	}
	if v.o.TPM == nil {
		return nil, fmt.Errorf("%w in this machine", tpm.ErrNone)
	}
	return v.o.TPM.Unseal(g.Sealed)
}

// GraceSeen notes the time, so that a clock that is set back prolongs nothing.
func (v *Vault) GraceSeen(now time.Time) error {
	g := v.readGrace()
	if g == nil {
		return nil
	}
	g.Lease = g.Lease.Seen(now)
	return v.writeGrace(g)
}

// DropGrace ends a grace, and says whether there was one. Blocks of the disk that
// held it are not wiped.
func (v *Vault) DropGrace() (bool, error) {
	err := v.o.Disk.Remove(v.gracePath())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = durable.SyncDir(v.o.Disk, v.o.Dir)
	}
	if err != nil {
		return true, fmt.Errorf("end the grace: %w", err)
	}
	return true, nil
}

// RunGrace opens the volume without an AC, if a grace allows it now: the boot
// counts before that. Errors wrap ErrGrace.
func (v *Vault) RunGrace(ctx context.Context, now time.Time) (Result, grace.Verdict, error) {
	g := v.readGrace()
	f, err := v.facts(&run{})
	if g == nil || err != nil || v.slots == nil || f.volume == volume.Absent || f.volume == volume.Broken {
		return Result{}, grace.Verdict{}, errors.Join(fmt.Errorf("%w: there is no grace, or no volume", ErrGrace), err)
	}
	lease, verdict := g.Lease.Boot(now)
	g.Lease = lease
	if err := v.writeGrace(g); err != nil {
		return Result{}, verdict, fmt.Errorf("%w: a boot by grace cannot be counted: %w", ErrGrace, err)
	}
	if !verdict.Open {
		return Result{}, verdict, fmt.Errorf("%w: %s", ErrGrace, verdict.Why)
	}
	key, err := v.graceKey(g)
	if err != nil {
		return Result{}, verdict, fmt.Errorf("%w: grace: %w", ErrGrace, err)
	}
	defer clear(key)
	password, err := keyslot.UnwrapGrace(v.slots.Node(), key, g.Slot)
	if err != nil {
		return Result{}, verdict, fmt.Errorf("%w: %w", ErrGrace, err)
	}
	defer clear(password)
	if err := v.volume.Unmount(ctx); err != nil { // what is dead
		return Result{}, verdict, fmt.Errorf("%w: %w", ErrGrace, err)
	}
	return v.result(v.slots.Confirmed()), verdict, v.mount(ctx, password)
}

// Sealed says whether a TPM keeps the device key.
func (v *Vault) Sealed() bool { return v.device != nil && v.device.Share() != nil }
