package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// keepMade is how many makings of a kind stay in the cache.
const keepMade = 4

// made returns the folder that holds what fill makes of the inputs hashed in
// key: from the cache, or made now. A folder has its name when it is whole.
func (b *Build) made(ctx context.Context, kind, key string, fill func(dir string) error) (string, error) {
	top := filepath.Join(b.Cache, "made")
	if err := os.MkdirAll(top, 0o755); err != nil {
		return "", err
	}
	dir := b.madeDir(kind, key)
	unlock, err := b.hold(ctx, filepath.Join(top, "."+kind+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		now := time.Now()
		return dir, os.Chtimes(dir, now, now)
	}
	b.sweep(top, kind)
	aside, err := os.MkdirTemp(top, "."+kind+"-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(aside)
	if err := fill(aside); err != nil {
		return "", fmt.Errorf("making %s: %w", kind, explain(err, b.Cache))
	}
	return dir, os.Rename(aside, dir)
}

func (b *Build) madeDir(kind, key string) string {
	return filepath.Join(b.Cache, "made", kind+"-"+key[:20])
}

// isMade says that what these inputs give is in the cache.
func (b *Build) isMade(kind, key string) bool {
	_, err := os.Stat(b.madeDir(kind, key))
	return err == nil
}

// sweep takes away what a killed build left, and the oldest of many. The lock
// of the kind is held.
func (b *Build) sweep(top, kind string) {
	half, _ := filepath.Glob(filepath.Join(top, "."+kind+"-*"))
	whole, _ := filepath.Glob(filepath.Join(top, kind+"-*"))
	slices.SortFunc(whole, func(x, y string) int { return age(y).Compare(age(x)) })
	if len(whole) >= keepMade {
		half = append(half, whole[keepMade-1:]...)
	}
	for _, dir := range half {
		_ = os.RemoveAll(dir) // what stays is tried again next time
	}
}

func age(file string) time.Time {
	info, err := os.Stat(file)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// again is how often it is looked whether another build has let go of a lock.
const again = 200 * time.Millisecond

// hold locks a file until the returned function is called, or we are dead.
// Another build is waited for.
func (b *Build) hold(ctx context.Context, file string) (func(), error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	for told := false; ; told = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", file, err), f.Close())
		}
		if !told {
			b.Say("another build is at work; waiting for it (" + file + ")")
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(again):
		}
	}
}

// writeAside writes a file that has its name when it is whole, and is as it
// was when anything fails.
func writeAside(file string, write func(io.Writer) error) error {
	return aside(file, func(part string) error {
		f, err := os.OpenFile(part, os.O_WRONLY|os.O_TRUNC, 0o644)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Sync(), f.Close())
	})
}

// aside lets fill make a file under another name, then gives it its own.
func aside(file string, fill func(part string) error) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	if err := fill(f.Name()); err != nil {
		return fmt.Errorf("writing %s: %w", file, explain(err, filepath.Dir(file)))
	}
	return os.Rename(f.Name(), file)
}

// errExplained is in an error that says what to do already.
var errExplained = errors.New("nothing half-made was left")

// explain adds what to do to an error of a full disk. Programs we run say it
// in words only.
func explain(err error, dir string) error {
	if errors.Is(err, errExplained) {
		return err
	}
	full := errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
	if !full && !strings.Contains(strings.ToLower(err.Error()), "no space left") {
		return err
	}
	var free unix.Statfs_t
	_ = unix.Statfs(dir, &free)
	return fmt.Errorf("%w; the disk of %s is full (%d MB free): make room, or put the cache elsewhere with G8OS_CACHE=DIR; %w", err, dir, int64(free.Bavail)*free.Bsize/1e6, errExplained)
}
