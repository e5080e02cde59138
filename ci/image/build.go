package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

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
	Say      func(string)

	lock     lock.Lock
	packages *archive.Cache
}

// Run builds.
func (b *Build) Run(ctx context.Context) error {
	if err := b.prepare(); err != nil {
		return err
	}
	bin, err := b.binaries(ctx)
	if err != nil {
		return err
	}
	var id recipe.Identity
	tools, err := b.toolsLayer(ctx)
	if err != nil {
		return err
	}
	if tools != "" {
		if id.Tools, id.Size, err = fileSum(tools); err != nil {
			return err
		}
	}
	base, err := b.base(ctx, bin, id)
	if err != nil {
		return err
	}
	return b.boot(bin, base)
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

func (b *Build) prepare() error {
	text, err := os.ReadFile(b.Lock)
	if err != nil {
		return fmt.Errorf("the packages to build from: %w; run from the top of the checkout", err)
	}
	if b.lock, err = lock.Parse(b.Lock, text); err != nil {
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

// boot writes vmlinuz and initramfs into the folder of the outputs.
func (b *Build) boot(bin binaries, base baseLayer) error {
	if err := copyTo(filepath.Join(b.Out, "vmlinuz"), base.file("vmlinuz")); err != nil {
		return err
	}
	out := filepath.Join(b.Out, "initramfs")
	if err := writeAside(out, func(w io.Writer) error { return initramfs(w, bin.core, base) }); err != nil {
		return err
	}
	info, err := os.Stat(out)
	if err != nil {
		return err
	}
	b.Say(fmt.Sprintf("%s: %.1f MiB", out, float64(info.Size())/(1<<20)))
	if info.Size() > maxInitramfs {
		return fmt.Errorf("%s is larger than %d MiB, which is what a node may be: take something out of ci/image/recipe", out, maxInitramfs>>20)
	}
	return nil
}

// maxInitramfs is what the issue allows: it is in the RAM of every node.
const maxInitramfs = 60 << 20

func copyTo(to, from string) error {
	return writeAside(to, func(w io.Writer) error {
		f, err := os.Open(from)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	})
}
