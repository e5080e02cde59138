// Package upgrade replaces g8os_core on a node by a signed one, and takes the
// old one back when the new one does not prove itself: the shell around
// core/upgrade/trial.
//
//	old core   verify, keep, write down, start the guard, execve ─┐ same process
//	stage      which binary? execve ──────────────────────────────┤ same process
//	new core   managed, and stays so: proved, or gives up ────────┘
//	guard      the old binary beside it: it ended? it hangs? back, and kill
//
// It promises that a binary runs only if a pinned key has signed it and it is
// whole; that a trial is written down before anything is switched, in one file
// that is replaced at once; and that whatever is killed, at whatever moment,
// the next start finds one binary to run. It does not fetch (core/layer does)
// and it does not know what makes a node managed.
package upgrade

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/upgrade/trial"
	"github.com/g8os/g8os/core/version"
)

// Where things are by default.
const (
	Dir      = "/var/lib/g8os/core" // binaries by SHA-256, and the record
	KeysFile = "release.pub"        // in the folder of the configuration
)

const (
	recordFile = "record.json"
	lockFile   = "lock"
	markFile   = "upgrade-trial" // in the folder of what is gone after a reboot
)

// Errors of a release that is not taken.
var (
	ErrArch      = errors.New("it is for another architecture")
	ErrDowngrade = errors.New("it is older than what runs")
)

// Store is a node's folder of binaries. Processes may use it side by side.
type Store struct {
	Dir    string
	RunDir string
	Disk   durable.Disk // default durable.OS
}

func (s Store) disk() durable.Disk {
	if s.Disk == nil {
		return durable.OS
	}
	return s.Disk
}

// Path is where a binary is kept.
func (s Store) Path(sum string) string { return filepath.Join(s.Dir, sum) }

// Read returns the record; of a node that was never upgraded, the zero one.
func (s Store) Read() (trial.Record, error) {
	r, _, err := durable.Read(s.disk(), filepath.Join(s.Dir, recordFile), func(b []byte) (r trial.Record, err error) {
		return r, json.Unmarshal(b, &r)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return trial.Record{}, nil
	}
	if err != nil {
		return r, fmt.Errorf("record of upgrades: %w", err)
	}
	return r, nil
}

// Change replaces the record by what f makes of it, unless that is the same or
// an error. Nobody else changes it meanwhile.
func (s Store) Change(f func(trial.Record) (trial.Record, error)) (trial.Record, error) {
	unlock, err := s.lock()
	if err != nil {
		return trial.Record{}, fmt.Errorf("record of upgrades: %w", err)
	}
	defer unlock()
	before, err := s.Read()
	if err != nil {
		return before, err
	}
	after, err := f(before)
	if err != nil {
		return before, err
	}
	old, err1 := json.Marshal(before)
	text, err2 := json.Marshal(after)
	if err := errors.Join(err1, err2); err != nil || string(old) == string(text) {
		return after, err
	}
	whole := func(b []byte) bool { return json.Valid(b) }
	if err := durable.WriteKeeping(s.disk(), filepath.Join(s.Dir, recordFile), text, 0o600, whole); err != nil {
		return before, fmt.Errorf("record of upgrades: %w", err)
	}
	return after, nil
}

// lock is held against other processes; a killed one's is free.
func (s Store) lock() (unlock func(), err error) {
	if s.Disk != nil { // a disk in memory has one user
		return func() {}, nil
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(s.Dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// Whole says why a binary cannot be started: it is not there, or not what its
// name says.
func (s Store) Whole(sum string) error {
	if sum == trial.BuiltIn {
		return nil
	}
	f, err := os.Open(s.Path(sum))
	if err != nil {
		return fmt.Errorf("g8os_core %.12s: %w", sum, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("g8os_core %.12s: %w", sum, err)
	}
	if is := hex.EncodeToString(h.Sum(nil)); is != sum {
		return fmt.Errorf("g8os_core %.12s is damaged: its hash is %.12s", sum, is)
	}
	if err := os.Chmod(s.Path(sum), 0o755); err != nil {
		return fmt.Errorf("g8os_core %.12s: %w", sum, err)
	}
	return nil
}

// Accept says why a release may not be installed on this node: it is not signed
// with a key of the file, is for other machines, or is older than what runs.
func Accept(r api.Release, keysFile string, running trial.Build, allowDowngrade bool) error {
	text, err := os.ReadFile(keysFile)
	if err != nil {
		return fmt.Errorf("no release is accepted here: the public keys of releases: %w", err)
	}
	keys, err := api.ParseReleaseKeys(text)
	if err != nil {
		return fmt.Errorf("%s: %w", keysFile, err)
	}
	return accept(r, keys, runtime.GOARCH, running, allowDowngrade)
}

func accept(r api.Release, keys []ed25519.PublicKey, arch string, running trial.Build, allowDowngrade bool) error {
	if err := r.Verify(keys); err != nil {
		return err
	}
	if r.Arch != arch {
		return fmt.Errorf("release %s: %w: %s, this machine is %s", r.Version, ErrArch, r.Arch, arch)
	}
	if r.Built.Before(running.Built) && !allowDowngrade {
		return fmt.Errorf("release %s of %s: %w, %s of %s (--allow-downgrade installs it)", r.Version, r.Built.UTC().Format(time.DateTime),
			ErrDowngrade, running.Version, running.Built.UTC().Format(time.DateTime))
	}
	return nil
}

// Self is the build that runs.
func Self() trial.Build { return trial.Build{Version: version.Version(), Built: version.Built()} }

// Begin writes down that a binary is tried now. The next start is its.
func (s Store) Begin(sum string, b, builtin trial.Build, t trial.Trial) error {
	_, err := s.Change(func(r trial.Record) (trial.Record, error) { return r.Begin(sum, b, builtin, t) })
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.RunDir, markFile), []byte(t.ID), 0o600); err != nil {
		return errors.Join(err, s.RollBack(t.ID, "it was not begun: "+err.Error()))
	}
	return nil
}

// sameRun says whether the machine has not been started since a trial began.
func (s Store) sameRun(id string) bool {
	mark, err := os.ReadFile(filepath.Join(s.RunDir, markFile))
	return err == nil && string(mark) == id
}

// Prove ends a trial well, and removes binaries that nobody needs.
func (s Store) Prove(id string) error {
	r, err := s.Change(func(r trial.Record) (trial.Record, error) { return r.Proved(id, time.Now()), nil })
	if err == nil {
		s.sweep(r)
	}
	return err
}

// RollBack ends a trial: the next start is that of the binary before.
func (s Store) RollBack(id, why string) error {
	_, err := s.Change(func(r trial.Record) (trial.Record, error) { return r.RolledBack(id, why, time.Now()), nil })
	return err
}

// sweep removes what no record names.
func (s Store) sweep(r trial.Record) {
	entries, _ := os.ReadDir(s.Dir)
	for _, e := range entries {
		if api.IsLayer(e.Name()) && !slices.Contains(r.Needs(), e.Name()) {
			_ = os.Remove(s.Path(e.Name()))
		}
	}
}
