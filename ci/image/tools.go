package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/g8os/g8os/ci/image/deb"
	"github.com/g8os/g8os/ci/image/lock"
	"github.com/g8os/g8os/ci/image/recipe"
	"github.com/g8os/g8os/ci/image/squash"
	"github.com/g8os/g8os/ci/image/tree"
)

// tools makes the tools layer, or finds it made, and returns its file.
func (b *Build) tools(ctx context.Context) (string, error) {
	dir, err := b.made(ctx, "tools", b.toolsKey(), func(dir string) error { return b.makeTools(ctx, dir) })
	return filepath.Join(dir, "tools.squashfs"), err
}

func (b *Build) toolsKey() string { return recipe.Key(b.imageID(), squash.Options) }

func (b *Build) makeTools(ctx context.Context, dir string) error {
	kernel, err := b.kernelPackage()
	if err != nil {
		return err
	}
	packages := slices.DeleteFunc(slices.Clone(b.lock.Packages), func(p lock.Package) bool { return recipe.Unwanted(p.Name) })
	if err := b.packages.Fetch(ctx, b.lock, append(packages, kernel)); err != nil {
		return err
	}
	spool, err := tree.NewSpool(dir)
	if err != nil {
		return err
	}
	defer spool.Close()
	t := tree.New()
	for i, p := range packages {
		if i%100 == 0 {
			b.Say(fmt.Sprintf("tools: unpacking, %d of %d packages", i, len(packages)))
		}
		if err := b.addPackage(ctx, t, spool, p); err != nil {
			return err
		}
	}
	if err := b.finishTools(ctx, t, spool, kernel); err != nil {
		return err
	}
	b.Say("tools: compressing (a minute or so)")
	return squash.Make(ctx, filepath.Join(dir, "tools.squashfs"), t, b.lock.Resolved)
}

func (b *Build) addPackage(ctx context.Context, t *tree.Tree, spool *tree.Spool, p lock.Package) error {
	return deb.Files(ctx, b.packages.Path(p), func(h *tar.Header, r io.Reader) error {
		if at := tree.Merge(h.Name); recipe.Left(at) || recipe.Left(at+"/") {
			return nil
		}
		return t.AddTar(h, r, spool)
	})
}

// finishTools does what packages' scripts would have done, takes out what
// cannot run, and proves that what is left can.
func (b *Build) finishTools(ctx context.Context, t *tree.Tree, spool *tree.Spool, kernel lock.Package) error {
	recipe.Alternatives(t)
	if err := certificates(t); err != nil {
		return err
	}
	t.Filter(func(_ string, f *tree.File) bool { return runnable(t, f) })
	for t.Filter(func(p string, f *tree.File) bool { return !dangling(t, p, f) }) > 0 {
		continue // a link to a link that led nowhere does so now
	}
	if err := addLibraries(t, tree.New(), nil); err != nil {
		return err
	}
	vmlinuz, err := b.vmlinuz(ctx, spool, kernel)
	if err != nil {
		return err
	}
	if err := addExamples(t, vmlinuz, b.lock.Resolved); err != nil {
		return err
	}
	id := recipe.Identity{ID: b.imageID(), Version: b.version(), Arch: lock.Arch, Kernel: kernelVersion(kernel)}
	t.Write(recipe.ToolsIdentity, 0o644, id.JSON())
	t.Prune()
	return nil
}

// vmlinuz takes the kernel alone out of its package.
func (b *Build) vmlinuz(ctx context.Context, spool *tree.Spool, p lock.Package) (tree.Blob, error) {
	all := tree.New()
	name := "boot/vmlinuz-" + kernelVersion(p)
	err := deb.Files(ctx, b.packages.Path(p), func(h *tar.Header, r io.Reader) error {
		if tree.Merge(h.Name) != name {
			return nil
		}
		return all.AddTar(h, r, spool)
	})
	if err != nil {
		return tree.Blob{}, err
	}
	if all.Get(name) == nil {
		return tree.Blob{}, fmt.Errorf("package %s has no %s", p.Name, name)
	}
	return all.Get(name).Content, nil
}

// certificates puts all of Mozilla's into the one file that programs read.
func certificates(t *tree.Tree) error {
	var all bytes.Buffer
	for _, p := range t.Paths() {
		if strings.HasPrefix(p, "usr/share/ca-certificates/") && strings.HasSuffix(p, ".crt") {
			text, err := t.Get(p).Content.Read()
			if err != nil {
				return err
			}
			all.Write(text)
		}
	}
	if all.Len() == 0 {
		return fmt.Errorf("package ca-certificates has none below usr/share/ca-certificates: change ci/image/tools.go")
	}
	t.Write("etc/ssl/certs/ca-certificates.crt", 0o644, all.Bytes())
	return nil
}

// runnable says that a file is no program, or one whose interpreter is there.
func runnable(t *tree.Tree, f *tree.File) bool {
	if !f.IsFile() || f.Mode&0o111 == 0 {
		return true
	}
	head := make([]byte, 128)
	n, _ := f.Content.Reader().ReadAt(head, 0)
	line, script := strings.CutPrefix(string(head[:n]), "#!")
	if !script {
		return true
	}
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(line)
	if len(words) > 1 && strings.HasSuffix(words[0], "/env") {
		return t.Get("usr/bin/"+words[1]) != nil
	}
	return len(words) > 0 && (t.Get(words[0][1:]) != nil)
}

// dangling says that a link leads nowhere.
func dangling(t *tree.Tree, p string, f *tree.File) bool {
	if f.Type != tar.TypeSymlink || strings.HasPrefix(f.Link, "/proc/") || strings.HasPrefix(f.Link, "/run/") {
		return false
	}
	to := f.Link
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(p), to)
	}
	return t.Get(tree.Merge(to)) == nil
}
