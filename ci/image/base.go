package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/g8os/g8os/ci/image/deb"
	"github.com/g8os/g8os/ci/image/kernel"
	"github.com/g8os/g8os/ci/image/lock"
	"github.com/g8os/g8os/ci/image/recipe"
	"github.com/g8os/g8os/ci/image/squash"
	"github.com/g8os/g8os/ci/image/tree"
)

// baseLayer is a folder of the cache: vmlinuz, base.squashfs, and early/, the
// modules that are needed to mount it. kernel holds the kernel's version.
type baseLayer struct{ dir string }

func (l baseLayer) file(name string) string { return filepath.Join(l.dir, name) }

// base makes the base layer, or finds it made.
func (b *Build) base(ctx context.Context, bin binaries, id recipe.Identity) (baseLayer, error) {
	packages, err := b.basePackages()
	if err != nil {
		return baseLayer{}, err
	}
	sum, _, err := fileSum(bin.gocryptfs)
	if err != nil {
		return baseLayer{}, err
	}
	key := recipe.Key(b.imageID(), sum, string(id.JSON()), squash.Options, fmt.Sprint(packages))
	dir, err := b.made(ctx, "base", key, func(dir string) error { return b.makeBase(ctx, dir, bin, id, packages) })
	return baseLayer{dir}, err
}

// kernelPackage returns the package with the kernel itself.
func (b *Build) kernelPackage() (lock.Package, error) {
	kernels := b.lock.Find(recipe.KernelPrefix)
	if len(kernels) != 1 {
		return lock.Package{}, fmt.Errorf("the lock has %d packages %s…, want exactly one kernel: run make image-lock", len(kernels), recipe.KernelPrefix)
	}
	return kernels[0], nil
}

// kernelVersion is what uname -r says.
func kernelVersion(p lock.Package) string { return strings.TrimPrefix(p.Name, "linux-image-") }

// version of the image is the day its packages were pinned.
func (b *Build) version() string { return b.lock.Resolved.Format("2006.01.02") }

// imageID names what all layers of an image have in common: the packages and
// the recipe. It changes with neither g8os_core nor the machine that builds.
func (b *Build) imageID() string { return recipe.Key(string(b.lock.Format()), linking)[:16] }

// linking is this program's part of what is in the layers.
//
//go:embed libraries.go
var linking string

// basePackages are the packages of which the base takes something; the first
// is the kernel's.
func (b *Build) basePackages() ([]lock.Package, error) {
	kernel, err := b.kernelPackage()
	if err != nil {
		return nil, err
	}
	names := slices.Clone(recipe.Libraries)
	for _, t := range recipe.Base {
		names = append(names, t.Package)
	}
	packages := []lock.Package{kernel}
	for _, name := range names {
		p, err := b.lock.Get(name)
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	return packages, nil
}

func (b *Build) makeBase(ctx context.Context, dir string, bin binaries, id recipe.Identity, packages []lock.Package) error {
	if err := b.packages.Fetch(ctx, b.lock, packages); err != nil {
		return err
	}
	spool, err := tree.NewSpool(dir)
	if err != nil {
		return err
	}
	defer spool.Close()
	t, libraries := tree.New(), tree.New()
	b.Say("base: the kernel's modules")
	version, err := b.addKernel(ctx, dir, t, spool, packages[0])
	if err != nil {
		return err
	}
	b.Say("base: programs and libraries")
	if err := b.addPrograms(ctx, t, libraries, spool); err != nil {
		return err
	}
	gocryptfs, err := os.ReadFile(bin.gocryptfs)
	if err != nil {
		return err
	}
	t.Write("usr/bin/gocryptfs", 0o755, gocryptfs)
	id.ID, id.Version, id.Arch, id.Kernel = b.imageID(), b.version(), lock.Arch, version
	if err := recipe.Skeleton(t, id); err != nil {
		return err
	}
	if err := addLibraries(t, libraries, recipe.Loaded); err != nil {
		return err
	}
	if err := writeEarly(dir, t, version); err != nil {
		return err
	}
	b.Say("base: compressing")
	return squash.Make(ctx, filepath.Join(dir, "base.squashfs"), t, b.lock.Resolved)
}

// addKernel takes the kernel and its modules out of its package: vmlinuz into
// dir, the modules of the recipe into the tree. It returns the version.
func (b *Build) addKernel(ctx context.Context, dir string, t *tree.Tree, spool *tree.Spool, p lock.Package) (string, error) {
	all := tree.New()
	if err := deb.Files(ctx, b.packages.Path(p), func(h *tar.Header, r io.Reader) error { return all.AddTar(h, r, spool) }); err != nil {
		return "", err
	}
	version := kernelVersion(p)
	vmlinuz := all.Get("boot/vmlinuz-" + version)
	if vmlinuz == nil {
		return "", fmt.Errorf("package %s has no boot/vmlinuz-%s", p.Name, version)
	}
	if err := writeAside(filepath.Join(dir, "vmlinuz"), func(w io.Writer) error { _, err := io.Copy(w, vmlinuz.Content.Reader()); return err }); err != nil {
		return "", err
	}
	top := "usr/lib/modules/" + version + "/"
	modules, builtin, err := readModules(all, top)
	if err != nil {
		return "", err
	}
	picked, err := kernel.Pick(modules, builtin, kernel.Match(recipe.Modules...))
	if err != nil {
		return "", err
	}
	for _, m := range picked {
		t.Put(top+m.Path, *all.Get(top + m.Path))
	}
	for _, name := range []string{"modules.order", "modules.builtin", "modules.builtin.modinfo"} {
		if f := all.Get(top + name); f != nil {
			t.Put(top+name, *f)
		}
	}
	return version, kernel.Depmod(ctx, dir, t, version)
}

func readModules(all *tree.Tree, top string) (modules []kernel.Module, builtin []string, err error) {
	for _, p := range all.Paths() {
		name, in := strings.CutPrefix(p, top)
		switch {
		case in && name == "modules.builtin":
			text, err := all.Get(p).Content.Read()
			if err != nil {
				return nil, nil, err
			}
			builtin = strings.Fields(string(text))
		case in && strings.HasSuffix(p, ".ko"):
			m, err := kernel.Read(name, all.Get(p).Content)
			if err != nil {
				return nil, nil, err
			}
			modules = append(modules, m)
		}
	}
	return modules, builtin, nil
}

// addPrograms puts what the base takes into t, and all libraries it might need
// into libraries.
func (b *Build) addPrograms(ctx context.Context, t, libraries *tree.Tree, spool *tree.Spool) error {
	for _, take := range recipe.Base {
		all, err := b.unpack(ctx, take.Package, spool)
		if err != nil {
			return err
		}
		if err := takeFrom(t, all, take); err != nil {
			return err
		}
	}
	for _, name := range recipe.Libraries {
		all, err := b.unpack(ctx, name, spool)
		if err != nil {
			return err
		}
		for _, p := range all.Paths() {
			if f := all.Get(p); strings.HasPrefix(p, "usr/lib") && f.Type != tar.TypeDir {
				libraries.Put(p, *f)
			}
		}
	}
	return nil
}

func (b *Build) unpack(ctx context.Context, name string, spool *tree.Spool) (*tree.Tree, error) {
	p, err := b.lock.Get(name)
	if err != nil {
		return nil, err
	}
	all := tree.New()
	return all, deb.Files(ctx, b.packages.Path(p), func(h *tar.Header, r io.Reader) error { return all.AddTar(h, r, spool) })
}

// takeFrom copies files and folders; one that is not there is an error, for the
// package has changed.
func takeFrom(t, all *tree.Tree, take recipe.Take) error {
	for _, want := range take.Paths {
		found := false
		for _, p := range all.Paths() {
			if p == want || strings.HasSuffix(want, "/") && strings.HasPrefix(p, want) {
				t.Put(p, *all.Get(p))
				found = true
			}
		}
		if !found {
			return fmt.Errorf("package %s no longer has %s: change ci/image/recipe", take.Package, want)
		}
	}
	return nil
}

// writeEarly writes the early modules beside the base, with their own
// modules.dep, in a folder that the initramfs copies.
func writeEarly(dir string, t *tree.Tree, version string) error {
	top := "usr/lib/modules/" + version + "/"
	dep, err := t.Get(top + "modules.dep").Content.Read()
	if err != nil {
		return err
	}
	needed := map[string]string{} // path -> line of modules.dep
	for line := range strings.Lines(string(dep)) {
		p, deps, _ := strings.Cut(line, ":")
		if slices.Contains(recipe.EarlyModules, p) {
			needed[p] = line
			for _, d := range strings.Fields(deps) {
				needed[d] = ""
			}
		}
	}
	var early bytes.Buffer
	for line := range strings.Lines(string(dep)) {
		p, _, _ := strings.Cut(line, ":")
		if _, in := needed[p]; !in {
			continue
		}
		early.WriteString(line)
		content, err := t.Get(top + p).Content.Read()
		if err != nil {
			return err
		}
		at := filepath.Join(dir, "early", version, p)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, content, 0o644); err != nil {
			return err
		}
	}
	if early.Len() == 0 {
		return fmt.Errorf("%s has none of %s", path.Join(top, "modules.dep"), strings.Join(recipe.EarlyModules, ", "))
	}
	return os.WriteFile(filepath.Join(dir, "early", version, "modules.dep"), early.Bytes(), 0o644)
}

// fileSum returns the SHA-256 and the size of a file.
func fileSum(file string) (string, int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), n, err
}
