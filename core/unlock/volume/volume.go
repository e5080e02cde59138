// Package volume is a node's private folder: a gocryptfs volume, its
// ciphertext on disk and its plain content under a mount point while open.
//
// It promises that a volume is either made whole or not there; that the
// password goes to gocryptfs through a pipe and never through arguments, files
// or logs; that Mount returns when files can be read; and that a dead or hung
// daemon is seen and cleared away, so that the volume can be opened again. It
// never removes or overwrites ciphertext. It is not where the password comes
// from (keyslot).
package volume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/g8os/g8os/core/process"
)

// What stands in the way, and by that who can help.
var (
	ErrTool     = errors.New("gocryptfs cannot be run")       // install it
	ErrPassword = errors.New("password does not open volume") // another one
	ErrDamaged  = errors.New("volume is damaged")             // the operator, with a backup
)

// leaveLimit is how long a daemon may take to end by itself once its mount is
// gone.
const leaveLimit = time.Second

// State is what a volume is now.
type State string

// The states. Absent → Made by Init, Made → Mounted by Mount, Dead → Made by
// Unmount; nothing of ours leads out of Broken.
const (
	Absent  State = "absent"  // no ciphertext
	Made    State = "made"    // ciphertext, not mounted
	Mounted State = "mounted" // mounted, and it answers
	Dead    State = "dead"    // mounted, but its daemon is gone or hangs
	Broken  State = "broken"  // ciphertext without the file that describes it
)

// Options says where things are.
type Options struct {
	Cipher string       // ciphertext: /etc/g8os/private; CIPHER.conf is a copy of its description
	Mount  string       // mount point: /mnt/etc
	RunDir string       // gocryptfs.pid and gocryptfs.log: /run/g8os
	Binary string       // path of gocryptfs; empty: see Find
	Log    *slog.Logger // nil: slog.Default
}

// Volume is one volume. Its methods are for one goroutine at a time, except
// Died.
type Volume struct {
	o  Options
	mu sync.Mutex
	d  *process.Process // the daemon, while we know it
}

// New touches nothing.
func New(o Options) *Volume {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Volume{o: o}
}

// State looks at the disk and at the mount point. An answer that takes longer
// than a few seconds is none: Dead.
func (v *Volume) State() (State, error) {
	mounted, err := mountedAt(v.source(), v.o.Mount)
	if err != nil {
		return "", err
	}
	if mounted {
		if err := answers(v.o.Mount); err != nil {
			v.o.Log.Warn("the volume's daemon does not answer", "mount", v.o.Mount, "error", err)
			return Dead, nil
		}
		return Mounted, nil
	}
	entries, err := os.ReadDir(v.o.Cipher)
	switch {
	case errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0:
		return Absent, nil
	case err != nil:
		return "", fmt.Errorf("look at the volume: %w", err)
	}
	if _, err := os.Stat(v.conf()); err != nil {
		return Broken, nil
	}
	return Made, nil
}

// Broken returns the error that tells the operator what to do about a Broken
// volume. It wraps ErrDamaged.
func (v *Volume) Broken() error {
	return fmt.Errorf("%w: %s has ciphertext but no %s: copy %s there, or restore the folder from a backup; "+
		"to give up its content, move the folder away", ErrDamaged, v.o.Cipher, confName, v.spare())
}

// Adopt takes over the daemon of a mounted volume, left by an earlier core, so
// that Died tells of it. It fails when the volume is not Mounted, or when the
// daemon cannot be found: Unmount then clears the way.
func (v *Volume) Adopt() error {
	if state, err := v.State(); err != nil || state != Mounted {
		return errors.Join(err, fmt.Errorf("adopt the volume: it is %s, not mounted", state))
	}
	if v.daemon() != nil {
		return nil
	}
	d, err := process.Adopt(v.spec())
	if err != nil {
		return err
	}
	v.setDaemon(d)
	return nil
}

// Died is closed when the daemon of the volume that was mounted or adopted
// last has ended, also by Unmount; nil, which never fires, before there was one.
func (v *Volume) Died() <-chan struct{} {
	if d := v.daemon(); d != nil {
		return d.Died()
	}
	return nil
}

func (v *Volume) daemon() *process.Process {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.d
}

func (v *Volume) setDaemon(d *process.Process) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.d = d
}

// Unmount closes the volume; it is no error when it is not open. A program
// that still has a file open there gets an error at its next read.
func (v *Volume) Unmount(ctx context.Context) error {
	d := v.daemon()
	if d == nil {
		d, _ = process.Adopt(v.spec())
	}
	if err := detach(v.source(), v.o.Mount); err != nil {
		return err
	}
	if d == nil {
		return nil
	}
	limit := time.NewTimer(leaveLimit)
	defer limit.Stop()
	select {
	case <-d.Died(): // as it does once its mount is gone
	case <-limit.C:
	case <-ctx.Done():
	}
	return d.Stop(ctx)
}

func (v *Volume) conf() string { return filepath.Join(v.o.Cipher, confName) }

// source is how the volume is called in the mount table, where gocryptfs can
// have no comma.
func (v *Volume) source() string { return strings.ReplaceAll(v.o.Cipher, ",", "_") }

func (v *Volume) spare() string { return v.o.Cipher + ".conf" }
