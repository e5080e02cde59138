// Package template keeps machines that were booted once and stand still, for
// others to be copy-on-write clones of.
//
// A template is the guest's memory, which every clone maps privately; the state
// of everything else, which a clone reads; and, under translation, the whole of
// the QEMU that ran it (package frozen), which a clone becomes instead.
//
//	boot ──"held"──▶ rehearse ─▶ settle ─▶ stop ─▶ memory + frozen + state ─▶ into the cache
//	                                                   │        │       │
//	                            clone, clone, clone ◀──┘  become,  or read ─▶ plug, cont
//
// It promises: a template is found under a hash of everything that shaped it
// (kernel, initramfs, command line, QEMU), so it never serves another machine;
// two processes that want the same make it once; one that is damaged or half
// there is noticed and made again; the boot has no network and dies with its
// maker. Nothing of a node is in it: that is the guest's promise, which waits
// at the gate (g8os.hold).
package template

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab/vm/args"
)

// Template is one in the cache.
type Template struct {
	Dir  string
	Key  string
	Made bool          // by this call, not found
	Took time.Duration // to make it
}

// Memory is the file clones map.
func (t Template) Memory() string { return filepath.Join(t.Dir, "memory") }

// State is the file clones read.
func (t Template) State() string { return filepath.Join(t.Dir, "state") }

// Frozen is the image that clones become; see HasFrozen.
func (t Template) Frozen() string { return filepath.Join(t.Dir, "frozen") }

// HasFrozen reports whether there is one.
func (t Template) HasFrozen() bool {
	_, err := os.Stat(t.Frozen())
	return err == nil
}

// Console is what the machine said while it booted, until it is a template.
func (t Template) Console() string { return filepath.Join(t.Dir, "console.log") }

func (t Template) meta() string { return filepath.Join(t.Dir, "template.json") }

// Options says of what machine a template is wanted.
type Options struct {
	Cache string    // directory of all templates
	Spec  args.Spec // with a kernel; its Name, Dir, Log, Memory and Incoming do not count
	// Library has the template written down as a process too; "": it is not.
	Library string
	// Rehearse has the guest at the gate do what each clone will do; nil: nothing.
	Rehearse *Rehearsal
	// Say is told what takes long, and why a template is made anew. Never nil.
	Say func(format string, a ...any)
}

// patience is how long a guest may take to come to the gate.
const patience = 2 * time.Minute

// Get finds a template, or makes it. It waits for another process that makes
// the same one.
func Get(ctx context.Context, o Options) (Template, error) {
	fail := func(err error) (Template, error) { return Template{}, fmt.Errorf("template of a machine: %w", err) }
	if o.Spec.Accel != "tcg" {
		o.Library, o.Rehearse = "", nil // nothing is translated
	}
	key, err := Key(ctx, o)
	if err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(o.Cache, 0o755); err != nil {
		return fail(err)
	}
	t := Template{Key: key, Dir: filepath.Join(o.Cache, "template-"+key[:16])}
	unlock, err := lock(ctx, t.Dir+".lock", o.Say)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	damage := t.check()
	if damage == nil {
		now := time.Now()
		_ = os.Chtimes(t.Dir, now, now) // for prune: it was used
		return t, nil
	}
	if !errors.Is(damage, os.ErrNotExist) {
		o.Say("the template in %s is damaged (%v); it is made anew", t.Dir, damage)
	}
	begun := time.Now()
	if err := t.make(ctx, o); err != nil {
		return fail(err)
	}
	t.Made, t.Took = true, time.Since(begun)
	prune(o.Cache, t.Dir)
	return t, nil
}

// meta is what a template says of itself.
type meta struct {
	Key        string    `json:"key"`
	Made       time.Time `json:"made"`
	MemorySize int64     `json:"memory_size"`
	MemorySum  uint32    `json:"memory_crc32c"` // fast enough for every start, of all of it
	StateSize  int64     `json:"state_size"`
	StateHash  string    `json:"state_sha256"`
	FrozenSize int64     `json:"frozen_size,omitempty"`
	FrozenSum  uint32    `json:"frozen_crc32c,omitempty"`
}

// describe measures the files of a template.
func (t Template) describe() (m meta, err error) {
	m.Key = t.Key
	if m.MemorySize, m.MemorySum, err = quickSum(t.Memory()); err != nil {
		return m, err
	}
	if t.HasFrozen() {
		if m.FrozenSize, m.FrozenSum, err = quickSum(t.Frozen()); err != nil {
			return m, err
		}
	}
	m.StateSize, m.StateHash, err = measure(t.State())
	return m, err
}

// check compares a template with what it says of itself. That nothing is there
// is os.ErrNotExist.
func (t Template) check() error {
	if _, err := os.Stat(t.Dir); err != nil {
		return err
	}
	broken := func(err error) error { return fmt.Errorf("%v", err) } // not ErrNotExist any more
	text, err := os.ReadFile(t.meta())
	if err != nil {
		return broken(err)
	}
	var want meta
	if err := json.Unmarshal(text, &want); err != nil {
		return fmt.Errorf("template.json: %w", err)
	}
	got, err := t.describe()
	if err != nil {
		return broken(err)
	}
	got.Made = want.Made
	switch {
	case got.Key != want.Key:
		return errors.New("template.json: it is of another machine")
	case got.MemorySize != want.MemorySize || got.StateSize != want.StateSize || got.FrozenSize != want.FrozenSize:
		return fmt.Errorf("memory, state and frozen have %d, %d and %d bytes, had %d, %d and %d",
			got.MemorySize, got.StateSize, got.FrozenSize, want.MemorySize, want.StateSize, want.FrozenSize)
	case got != want:
		return errors.New("its bytes changed since it was made")
	}
	return nil
}

// measure returns the size and the SHA-256 of a file.
func measure(path string) (int64, string, error) {
	h := sha256.New()
	size, err := feed(h, path)
	return size, hex.EncodeToString(h.Sum(nil)), err
}

// feed reads a file into a hash and returns its size.
func feed(h hash.Hash, path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{f}, make([]byte, 1<<20))
}

// quickSum is the size and the CRC-32C of a file, whose holes it passes over.
func quickSum(path string) (size int64, sum uint32, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	if size, err = f.Seek(0, io.SeekEnd); err != nil {
		return 0, 0, err
	}
	crc, buffer := crc32.New(crc32.MakeTable(crc32.Castagnoli)), make([]byte, 1<<20)
	for at := int64(0); at < size; {
		data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // a hole up to the end
		}
		hole, err2 := unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE)
		if err := errors.Join(err, err2); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", path, err)
		}
		fmt.Fprintln(crc, data, hole)
		if _, err := io.CopyBuffer(struct{ io.Writer }{crc}, io.NewSectionReader(f, data, hole-data), buffer); err != nil {
			return 0, 0, err
		}
		at = hole
	}
	return size, crc.Sum32(), nil
}

// Key is the hash of everything that shapes a template.
func Key(ctx context.Context, o Options) (string, error) {
	s := o.Spec
	if s.Kernel == nil {
		return "", errors.New("only a machine that boots a kernel directly has one; a stick is booted by its firmware")
	}
	version, err := exec.CommandContext(ctx, args.Program, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w; install qemu-system-x86 (ci/install vm does it)", args.Program, err)
	}
	h := sha256.New()
	fmt.Fprintln(h, "template 3") // what template.json says
	shaping := []string{s.Kernel.Image, s.Kernel.Initrd}
	if o.Library != "" {
		shaping = append(shaping, o.Library)
	}
	for _, path := range shaping {
		size, sum, err := measure(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, size, sum)
	}
	kernel := *s.Kernel
	kernel.Image, kernel.Initrd = "vmlinuz", "initramfs"
	s.Kernel = &kernel
	s.Name, s.Dir, s.Log, s.Memory, s.Incoming = "template", "", "", args.Memory{File: "memory"}, false
	fmt.Fprintf(h, "%s%s%q%q\n", version, hostCPU(s.Accel, o.Library), s.Args(), s.Warm)
	if o.Rehearse != nil {
		fmt.Fprintf(h, "%q\n", o.Rehearse.Text)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hostCPU matters where the guest runs on it, and where code was translated for it.
func hostCPU(accel, library string) string {
	if accel != "kvm" && library == "" {
		return ""
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	return unix.ByteSliceToString(u.Release[:]) + " " + cpuModel()
}
