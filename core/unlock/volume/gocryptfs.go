package volume

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/process"
)

// confName is the file that holds a volume's wrapped master key.
const confName = "gocryptfs.conf"

// readyLine is what gocryptfs says once its mount is whole. The mount is seen
// a moment earlier, but a daemon that is killed in that moment hangs (detach).
const readyLine = "Filesystem mounted and ready."

// Exit codes of gocryptfs (internal/exitcodes, stable since v1.4).
const (
	exitLoadConf   = 8
	exitMountPoint = 10
	exitPassword   = 12
	exitFuse       = 19
	exitOpenConf   = 23
)

// Find returns the gocryptfs to use: beside this executable, where our
// packages and the image put it, or in PATH. Its error wraps ErrTool.
func Find() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "gocryptfs")
		if st, err := os.Stat(beside); err == nil && st.Mode().IsRegular() {
			return beside, nil
		}
	}
	path, err := exec.LookPath("gocryptfs")
	if err != nil {
		return "", fmt.Errorf("%w: it is neither beside g8os_core nor in PATH: run make build, or install the package gocryptfs", ErrTool)
	}
	return filepath.Abs(path)
}

func (v *Volume) binary() (string, error) {
	if v.o.Binary != "" {
		return v.o.Binary, nil
	}
	return Find()
}

// stdin is what gocryptfs reads: the password as hex, because it wants a line
// of text, and the line's end.
func stdin(password api.Secret) io.Reader {
	return bytes.NewReader(append([]byte(hex.EncodeToString(password)), '\n'))
}

// Init makes the volume when there is none. It is made aside and then renamed,
// so a killed Init leaves nothing but a folder that the next one replaces.
// scrypt does not slow down a guess at 256 random bits, so it gets its minimum.
func (v *Volume) Init(ctx context.Context, password api.Secret) error {
	switch state, err := v.State(); {
	case err != nil:
		return err
	case state == Broken:
		return v.Broken()
	case state != Absent:
		return nil
	}
	aside := v.o.Cipher + ".new" // never mounted, so it holds nobody's data
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("make the volume: %w", err)
	}
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return fmt.Errorf("make the volume: %w", err)
	}
	if err := v.runInit(ctx, aside, password); err != nil {
		return err
	}
	if err := syncTree(aside); err != nil {
		return fmt.Errorf("make the volume: %w", err)
	}
	conf, err := os.ReadFile(filepath.Join(aside, confName))
	if err != nil {
		return fmt.Errorf("make the volume: %w", err)
	}
	if err := durable.Write(durable.OS, v.spare(), conf, 0o400); err != nil {
		return fmt.Errorf("make the volume: %w", err)
	}
	if err := os.Remove(v.o.Cipher); err != nil && !errors.Is(err, os.ErrNotExist) { // an empty folder, or it fails
		return fmt.Errorf("make the volume: %w", err)
	}
	return durable.Rename(durable.OS, aside, v.o.Cipher)
}

func (v *Volume) runInit(ctx context.Context, dir string, password api.Secret) error {
	binary, err := v.binary()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, binary, "-init", "-q", "-scryptn", "10", "--", dir)
	cmd.Stdin = stdin(password)
	out, err := cmd.CombinedOutput()
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w: %w", ErrTool, err)
	}
	if err != nil {
		return fmt.Errorf("make the volume in %s: gocryptfs: %w: %s", dir, err, bytes.TrimSpace(out))
	}
	return nil
}

// syncTree makes a folder of files durable.
func syncTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := durable.SyncDir(durable.OS, filepath.Join(dir, e.Name())); err != nil { // fsync is the same for files
			return err
		}
	}
	return durable.SyncDir(durable.OS, dir)
}

func (v *Volume) spec() process.Spec {
	return process.Spec{Name: "gocryptfs", RunDir: v.o.RunDir, Log: v.o.Log}
}

// Mount opens the volume and returns when its files can be read. Errors wrap
// ErrPassword, ErrDamaged, ErrTool or that of ctx where it is one of those.
func (v *Volume) Mount(ctx context.Context, password api.Secret) error {
	binary, err := v.binary()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(v.o.Mount, 0o755); err != nil {
		return fmt.Errorf("mount the volume: %w", err)
	}
	if err := v.checkConf(); err != nil {
		return err
	}
	spec := v.spec()
	spec.Path, spec.Stdin = binary, stdin(password)
	spec.Args = []string{"-fg", "-nosyslog", "-nodev", "-nosuid", "-fsname", v.source(), "--", v.o.Cipher, v.o.Mount}
	d, err := process.Start(spec)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTool, err)
	}
	v.setDaemon(d)
	if err := v.untilMounted(ctx, d); err != nil {
		return errors.Join(err, v.Unmount(context.WithoutCancel(ctx)))
	}
	return nil
}

func (v *Volume) untilMounted(ctx context.Context, d *process.Process) error {
	if err := d.Says(ctx, readyLine); err != nil {
		if d.Err() != nil {
			return v.explain(d.Err())
		}
		return fmt.Errorf("mount the volume on %s: %w", v.o.Mount, err)
	}
	switch mounted, err := mountedAt(v.source(), v.o.Mount); {
	case err != nil:
		return err
	case !mounted:
		return fmt.Errorf("mount the volume: it was mounted on %s, and something hides it or has unmounted it: see findmnt %s", v.o.Mount, v.o.Mount)
	}
	return readable(v.o.Mount)
}

// checkConf looks at the description before gocryptfs does, whose exit code
// for a damaged one is that of many other troubles.
func (v *Volume) checkConf() error {
	raw, err := os.ReadFile(v.conf())
	if err == nil && !json.Valid(raw) {
		err = errors.New("it is not JSON")
	}
	if err != nil {
		return fmt.Errorf("%w: %s cannot be read: %w: copy %s over it", ErrDamaged, v.conf(), err, v.spare())
	}
	return nil
}

// explain turns an exit code into what to do.
func (v *Volume) explain(err error) error {
	switch process.ExitCode(err) {
	case exitPassword:
		return fmt.Errorf("%w: %s: %w", ErrPassword, v.o.Cipher, err)
	case exitLoadConf, exitOpenConf:
		return fmt.Errorf("%w: %s cannot be read: %w: copy %s over it", ErrDamaged, v.conf(), err, v.spare())
	case exitMountPoint:
		return fmt.Errorf("mount the volume: %w: move away what is in %s", err, v.o.Mount)
	case exitFuse:
		return fmt.Errorf("%w: the kernel refuses the mount: %w: load the module fuse and see that /dev/fuse is there", ErrTool, err)
	}
	return fmt.Errorf("mount the volume: %w", err)
}
