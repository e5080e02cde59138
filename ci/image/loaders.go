package main

import (
	"context"
	"os"
	"path"
	"path/filepath"

	"github.com/g8os/g8os/ci/image/lock"
	"github.com/g8os/g8os/ci/image/recipe"
	"github.com/g8os/g8os/ci/image/tree"
)

// loaders is a folder of the cache with what firmware starts.
type loaders struct{ dir string }

func (l loaders) stub() string     { return filepath.Join(l.dir, "linuxx64.efi.stub") }
func (l loaders) gptMBR() string   { return filepath.Join(l.dir, "gptmbr.bin") }
func (l loaders) syslinux() string { return filepath.Join(l.dir, "syslinux") }

// loaders takes them out of their packages, or finds them taken.
func (b *Build) loaders(ctx context.Context) (loaders, error) {
	dir, err := b.made(ctx, "loaders", recipe.Key(b.imageID()), func(dir string) error { return b.makeLoaders(ctx, dir) })
	return loaders{dir}, err
}

func (b *Build) makeLoaders(ctx context.Context, dir string) error {
	var packages []lock.Package
	for _, take := range recipe.Loaders {
		p, err := b.lock.Get(take.Package)
		if err != nil {
			return err
		}
		packages = append(packages, p)
	}
	if err := b.packages.Fetch(ctx, b.lock, packages); err != nil {
		return err
	}
	spool, err := tree.NewSpool(dir)
	if err != nil {
		return err
	}
	defer spool.Close()
	t := tree.New()
	for _, take := range recipe.Loaders {
		all, err := b.unpack(ctx, take.Package, spool)
		if err != nil {
			return err
		}
		if err := takeFrom(t, all, take); err != nil {
			return err
		}
		for _, p := range take.Paths {
			f := t.Get(p)
			content, err := f.Content.Read()
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, path.Base(p)), content, f.Perm()); err != nil {
				return err
			}
		}
	}
	return nil
}
