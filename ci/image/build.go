package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/g8os/g8os/ci/image/archive"
	"github.com/g8os/g8os/ci/image/lock"
	"github.com/g8os/g8os/ci/image/recipe"
)

// A Build is one run: what to build, from what, to where.
type Build struct {
	Out      string // folder of the outputs
	Cache    string // folder of packages and layers
	Lock     string // file of packages
	Archive  string // where packages come from, see archive.New
	BaseOnly bool   // only vmlinuz and initramfs
	Version  string // of g8os
	Built    string // time of the commit, seconds since 1970
	Grid     Grid   // what is of one grid
	Say      func(string)

	lock     lock.Lock
	packages *archive.Cache
}

// Grid is what an image has of the grid it is for; all may be "".
type Grid struct {
	CA      string // file: certificate of the CA its controllers have theirs from
	NetTOML string // file: net.toml
	Cmdline string // arguments for the kernel, added to ours
	Key     string // file: PEM, what the image is signed with
}

// Run builds. What it makes waits in a folder of its own and gets its names
// when all of it is there: a build that fails leaves what was.
func (b *Build) Run(ctx context.Context) error {
	if err := b.prepare(); err != nil {
		return err
	}
	unlock, err := b.hold(ctx, filepath.Join(b.Out, ".image.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	stage, err := b.stage()
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	if err := b.into(ctx, stage); err != nil {
		return explain(err, b.Out)
	}
	return b.publish(stage)
}

func (b *Build) prepare() error {
	text, err := os.ReadFile(b.Lock)
	if err != nil {
		return fmt.Errorf("the packages to build from: %w; run from the top of the checkout", err)
	}
	if b.lock, err = lock.Parse(b.Lock, text); err != nil {
		return err
	}
	if err := b.Grid.check(); err != nil {
		return err
	}
	for _, dir := range []*string{&b.Out, &b.Cache} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return err
		}
		if err := os.MkdirAll(*dir, 0o755); err != nil {
			return fmt.Errorf("making a folder to build in: %w", explain(err, filepath.Dir(*dir)))
		}
	}
	b.packages, err = archive.New(filepath.Join(b.Cache, "packages"), b.Archive, b.Say)
	return err
}

// stage makes the folder where the outputs wait, and takes away those of
// builds that were killed.
func (b *Build) stage() (string, error) {
	left, err := filepath.Glob(filepath.Join(b.Out, ".image-*"))
	if err != nil {
		return "", err
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(b.Out, ".image-")
}

// into builds everything into the stage.
func (b *Build) into(ctx context.Context, stage string) error {
	bin, err := b.binaries(ctx)
	if err != nil {
		return err
	}
	tools, err := b.toolsLayer(ctx)
	if err != nil {
		return err
	}
	var id recipe.Identity
	if tools != "" {
		if id.Tools, id.Size, err = fileSum(tools); err != nil {
			return err
		}
	}
	base, err := b.base(ctx, bin, id)
	if err != nil {
		return err
	}
	if err := b.boot(stage, bin, base); err != nil || b.BaseOnly {
		return err
	}
	return b.disks(ctx, stage, tools)
}

// toolsLayer makes the tools layer. The base names it, so that a node knows
// which to fetch; building the base alone does so when the layer was made
// before, and makes none.
func (b *Build) toolsLayer(ctx context.Context) (string, error) {
	if b.BaseOnly && !b.isMade("tools", b.toolsKey()) {
		return "", nil
	}
	return b.tools(ctx)
}

// maxInitramfs is what a base may take of every node's memory.
const maxInitramfs = 60 << 20

// boot writes vmlinuz and initramfs.
func (b *Build) boot(stage string, bin binaries, base baseLayer) error {
	if err := copyTo(filepath.Join(stage, "vmlinuz"), base.file("vmlinuz")); err != nil {
		return err
	}
	out := filepath.Join(stage, "initramfs")
	if err := writeAside(out, func(w io.Writer) error { return initramfs(w, bin.core, base) }); err != nil {
		return err
	}
	info, err := os.Stat(out)
	if err != nil {
		return err
	}
	if info.Size() > maxInitramfs {
		return fmt.Errorf("the initramfs has %s, the most a node may hold is %s: take something out of ci/image/recipe", mebi(info.Size()), mebi(maxInitramfs))
	}
	return nil
}

// publish gives what is in the stage its names. That of the manifest is the
// last: it says what all the others are.
func (b *Build) publish(stage string) error {
	files, err := os.ReadDir(stage)
	if err != nil {
		return err
	}
	if b.BaseOnly && b.unchanged(stage, files) {
		b.Say(b.Out + ": vmlinuz and initramfs are what they were")
		return nil
	}
	// what an earlier build said and signed is not true from here on
	for _, name := range []string{"manifest.json", "manifest.json.sig", "manifest.pub"} {
		if err := os.Remove(filepath.Join(b.Out, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	var said []string
	for _, last := range []bool{false, true} {
		for _, f := range files {
			if strings.HasPrefix(f.Name(), "manifest") != last {
				continue
			}
			info, err := f.Info()
			if err != nil {
				return err
			}
			if err := os.Rename(filepath.Join(stage, f.Name()), filepath.Join(b.Out, f.Name())); err != nil {
				return err
			}
			said = append(said, fmt.Sprintf("%s %s", f.Name(), mebi(info.Size())))
		}
	}
	b.Say(fmt.Sprintf("%s: %s", b.Out, strings.Join(said, ", ")))
	return nil
}

// unchanged says that all that is in the stage is there already.
func (b *Build) unchanged(stage string, files []fs.DirEntry) bool {
	for _, f := range files {
		was, _, err := fileSum(filepath.Join(b.Out, f.Name()))
		is, _, err2 := fileSum(filepath.Join(stage, f.Name()))
		if err != nil || err2 != nil || was != is {
			return false
		}
	}
	return true
}

func mebi(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func copyTo(to, from string) error {
	return writeAside(to, func(w io.Writer) error {
		f, err := os.Open(from)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, f)
		return errors.Join(err, f.Close())
	})
}
