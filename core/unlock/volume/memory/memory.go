// Package memory is the private volume of a simulated machine: it behaves as
// core/unlock/volume does, without gocryptfs.
//
// It promises the same states and errors, files of the same names on a disk
// that is handed in, made in the same order, so that power cuts and damage do
// to it what they do to the real one; and that it opens with its password only.
// It is not secret: what is written below the mount point lies in clear in the
// folder of the ciphertext. It is for one goroutine at a time.
package memory

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/unlock/volume"
)

const (
	confName = "gocryptfs.conf" // as the real one calls it
	content  = "content"        // the folder below the ciphertext for what is kept
)

// conf describes a volume.
type conf struct {
	Password []byte `json:"password"` // SHA-256
}

// Volume is one volume on one machine from its power-on to its power-off: a
// core that is restarted finds it as it was, a machine that is restarted makes
// a new one on the same disk, which is not mounted.
type Volume struct {
	// Trouble is the error of Init and Mount, such as volume.ErrTool; nil: none.
	Trouble error

	disk          durable.Disk
	cipher, mount string
	died          chan struct{} // of the daemon that was mounted last; nil: none was
	mounted, dead bool
}

// New returns the volume with its ciphertext and mount point at these paths. It
// touches nothing.
func New(disk durable.Disk, cipher, mount string) *Volume {
	return &Volume{disk: disk, cipher: filepath.Clean(cipher), mount: filepath.Clean(mount)}
}

// State looks at the disk, as volume.State does.
func (v *Volume) State() (volume.State, error) {
	switch {
	case v.dead:
		return volume.Dead, nil
	case v.mounted:
		return volume.Mounted, nil
	}
	entries, err := v.disk.ReadDir(v.cipher)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0:
		return volume.Absent, nil
	case err != nil:
		return "", fmt.Errorf("look at the volume: %w", err)
	}
	if _, err := v.disk.Stat(v.conf()); err != nil {
		return volume.Broken, nil
	}
	return volume.Made, nil
}

// Broken returns the error of a volume without its description.
func (v *Volume) Broken() error {
	return fmt.Errorf("%w: %s has ciphertext but no %s: copy %s there", volume.ErrDamaged, v.cipher, confName, v.spare())
}

// Init makes the volume when there is none.
func (v *Volume) Init(_ context.Context, password api.Secret) error {
	state, err := v.State()
	switch {
	case err != nil:
		return err
	case state == volume.Broken:
		return v.Broken()
	case state != volume.Absent:
		return nil
	case v.Trouble != nil:
		return fmt.Errorf("make the volume: %w", v.Trouble)
	}
	if err := v.make(password); err != nil {
		return fmt.Errorf("make the volume: %w", err)
	}
	return nil
}

// make makes it aside and then renames it.
func (v *Volume) make(password api.Secret) error {
	sum := sha256.Sum256(password)
	raw, err := json.Marshal(conf{sum[:]})
	if err != nil {
		return err
	}
	aside := v.cipher + ".new"
	if err := v.disk.RemoveAll(aside); err != nil {
		return err
	}
	if err := v.disk.MkdirAll(filepath.Join(aside, content), 0o700); err != nil {
		return err
	}
	if err := durable.Write(v.disk, filepath.Join(aside, confName), raw, 0o400); err != nil {
		return err
	}
	if err := durable.Write(v.disk, v.spare(), raw, 0o400); err != nil {
		return err
	}
	if err := v.disk.Remove(v.cipher); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.Rename(v.disk, aside, v.cipher)
}

// Mount opens the volume.
func (v *Volume) Mount(ctx context.Context, password api.Secret) error {
	if err := errors.Join(context.Cause(ctx), v.Trouble, v.disk.MkdirAll(v.mount, 0o755)); err != nil {
		return fmt.Errorf("mount the volume: %w", err)
	}
	var c conf
	raw, err := v.disk.ReadFile(v.conf())
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil {
		return fmt.Errorf("%w: %s cannot be read: %w: copy %s over it", volume.ErrDamaged, v.conf(), err, v.spare())
	}
	if sum := sha256.Sum256(password); string(sum[:]) != string(c.Password) {
		return fmt.Errorf("%w: %s", volume.ErrPassword, v.cipher)
	}
	v.mounted, v.died = true, make(chan struct{})
	return nil
}

// Adopt fails when the volume is not mounted.
func (v *Volume) Adopt() error {
	if state, err := v.State(); err != nil || state != volume.Mounted {
		return errors.Join(err, fmt.Errorf("adopt the volume: it is %s, not mounted", state))
	}
	return nil
}

// Died is closed when the volume that was mounted last is not any more.
func (v *Volume) Died() <-chan struct{} { return v.died }

// Unmount closes the volume; it is no error when it is not open.
func (v *Volume) Unmount(context.Context) error {
	v.Kill()
	v.dead = false
	return nil
}

// Kill ends the daemon of a mounted volume, which is Dead until Unmount.
func (v *Volume) Kill() {
	if v.mounted {
		close(v.died)
		v.mounted, v.dead = false, true
	}
}

func (v *Volume) conf() string  { return filepath.Join(v.cipher, confName) }
func (v *Volume) spare() string { return v.cipher + ".conf" }
