package unlock

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/unlock/device"
	"github.com/g8os/g8os/core/unlock/keyslot"
)

// bind has the AC's slots of a volume that is older than the TPM need its share:
// add, prove that what is on the disk opens with what the TPM gives back, remove
// the copy that opens without.
func (v *Vault) bind(r *run) error {
	slots, err := v.fresh()
	if err != nil {
		return err
	}
	for _, s := range r.granted.Shares {
		if err := slots.AddUnlock(s.Generation, s.Share, r.password); err != nil {
			return err
		}
	}
	if err := slots.Save(v.o.Disk, v.o.Dir); err != nil {
		return err
	}
	back, err := v.proveBound(r)
	if err != nil {
		return errors.Join(fmt.Errorf("the slots that need the TPM do not open: %w", err), v.save())
	}
	v.slots, r.bound = back, true
	return v.save() // the previous copy opened without
}

// proveBound opens the slots on the disk with the share as the TPM gives it now.
func (v *Vault) proveBound(r *run) (*keyslot.File, error) {
	d, err := device.Open(v.deviceOptions())
	if err != nil {
		return nil, err
	}
	back, err := v.fresh()
	if err != nil {
		return nil, err
	}
	back.TPM = &keyslot.TPM{Share: d.Share(), Kept: d.Kept()}
	for _, s := range r.granted.Shares {
		if s.Generation != r.generation {
			continue
		}
		got, err := back.OpenUnlock(s.Generation, s.Share)
		if err == nil && !bytes.Equal(got, r.password) {
			err = keyslot.ErrKey
		}
		clear(got)
		return back, err
	}
	return nil, keyslot.ErrSlot
}

// restore gives what a lost TPM kept to the one that is there, when the volume's
// password is known. That it fails does not keep the volume shut.
func (v *Vault) restore(password api.Secret) TPMUse {
	kept, err := v.slots.Kept(password)
	switch {
	case err != nil:
		v.o.Log.Warn("what the TPM kept is lost: the volume opens with the recovery key only", "error", err)
		return TPMLost
	case kept == nil:
		return TPMUnused
	case v.device != nil && bytes.Equal(v.device.Kept(), kept):
		return TPMKeeps
	case (v.o.TPM == nil || !v.o.TPM.Present()) && !v.o.WithoutTPM:
		return TPMLost
	}
	defer clear(kept)
	if err := device.Restore(v.deviceOptions(), kept); err != nil {
		v.o.Log.Warn("the TPM does not keep what the volume needs: it opens with the recovery key only", "error", err)
		return TPMLost
	}
	return TPMKeeps
}

// GiveUp moves what a node was aside in its folder, for a volume that nothing
// opens: device key, key slots and ciphertext. The volume must not be mounted.
// Keys go first: cut short, it can be done again. It returns what it moved.
func GiveUp(d durable.Disk, dir string) (moved []string, err error) {
	for _, name := range []string{device.KeyFile, device.SealedFile, keyslot.Name, "private.conf", "private"} {
		for _, copy := range []string{name + durable.Previous, name} { // the copy first: it would be taken for the file
			path := filepath.Join(dir, copy)
			if _, err := d.Lstat(path); errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err := d.RemoveAll(path + givenUp); err != nil {
				return moved, fmt.Errorf("give the volume up: %w", err)
			}
			if err := durable.Rename(d, path, path+givenUp); err != nil {
				return moved, fmt.Errorf("give the volume up: %w", err)
			}
			moved = append(moved, copy)
		}
	}
	return moved, nil
}

const givenUp = ".given-up"
