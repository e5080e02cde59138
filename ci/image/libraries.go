package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/g8os/g8os/ci/image/tree"
)

// searched is where the loader looks.
var searched = []string{"usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib"}

// addLibraries adds to t what its programs are linked with, and what those
// are, out of libraries; and the loaded, which no program names. What is not
// found is an error: the program would not start.
func addLibraries(t, libraries *tree.Tree, loaded []string) error {
	var lacking []string
	todo := t.Paths()
	need := func(name, by string) {
		in := searched
		if strings.Contains(name, "/") { // the loader: the kernel looks nowhere else
			in = []string{""}
		}
		for _, dir := range in {
			at := path.Join(dir, name)
			if t.Get(at) != nil {
				return
			}
			if libraries.Get(at) != nil {
				todo = append(todo, addLinked(t, libraries, at)...)
				return
			}
		}
		lacking = append(lacking, fmt.Sprintf("%s (for %s)", name, by))
	}
	for _, name := range loaded {
		need(name, "the recipe")
	}
	for len(todo) > 0 {
		p := todo[0]
		todo = todo[1:]
		names, err := linked(p, t.Get(p))
		if err != nil {
			return err
		}
		for _, name := range names {
			need(name, p)
		}
	}
	if lacking != nil {
		slices.Sort(lacking)
		return fmt.Errorf("libraries are in none of the packages: %s: add the packages that have them to ci/image/recipe, Libraries", strings.Join(lacking, ", "))
	}
	return nil
}

// addLinked adds a library and what its name links to.
func addLinked(t, libraries *tree.Tree, at string) (added []string) {
	for range 8 {
		f := libraries.Get(at)
		if f == nil {
			return added
		}
		t.Put(at, *f)
		added = append(added, at)
		if f.Type != tar.TypeSymlink {
			return added
		}
		if path.IsAbs(f.Link) {
			at = tree.Merge(f.Link)
		} else {
			at = path.Join(path.Dir(at), f.Link)
		}
	}
	return added
}

// linked returns the libraries and the loader that a program asks for; none
// when it is no program.
func linked(p string, f *tree.File) ([]string, error) {
	if !f.IsFile() || strings.HasPrefix(p, "usr/share/") {
		return nil, nil // firmware of virtual machines
	}
	head := make([]byte, 4)
	if n, _ := f.Content.Reader().ReadAt(head, 0); n < 4 || !bytes.Equal(head, []byte(elf.ELFMAG)) {
		return nil, nil
	}
	e, err := elf.NewFile(f.Content.Reader())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	if e.Type == elf.ET_REL { // modules of the kernel, programs for BPF
		return nil, nil
	}
	if e.Machine != elf.EM_X86_64 {
		return nil, fmt.Errorf("%s is for %s, the image is for x86-64", p, e.Machine)
	}
	names, err := e.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	for _, segment := range e.Progs {
		if segment.Type == elf.PT_INTERP {
			loader := make([]byte, segment.Filesz)
			if _, err := segment.ReadAt(loader, 0); err != nil {
				return nil, fmt.Errorf("%s: %w", p, err)
			}
			names = append(names, tree.Merge(strings.TrimRight(string(loader), "\x00")))
		}
	}
	return names, nil
}
