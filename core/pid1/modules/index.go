// Package modules loads the kernel modules that the hardware of this machine
// asks for, and goes on doing so when hardware comes.
//
//	/sys/devices/**/modalias ─┐
//	uevents (netlink) ────────┼─▶ Index (modules.alias, .dep, .softdep) ─▶ finit_module
//	names somebody asks for ──┘
//
// It promises that a module is loaded after those it depends on, that modules
// of network cards are loaded one after the other in the order of the bus, so
// that eth0 is the same card at every boot, and that a module which cannot be
// loaded costs nothing but its own device. It unloads nothing, and knows no
// module options: those are kernel arguments (MODULE.OPTION=VALUE).
package modules

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Index is what depmod(8) found out about a folder of modules. It is read-only.
type Index struct {
	fsys  fs.FS
	files map[string][]string // name of a module: its file, and files it depends on
	soft  map[string][]string // name of a module: names or aliases it wants loaded before
}

// ReadIndex reads modules.dep and modules.softdep; the latter may be missing.
func ReadIndex(fsys fs.FS) (*Index, error) {
	dep, err := fs.ReadFile(fsys, "modules.dep")
	if err != nil {
		return nil, fmt.Errorf("index of kernel modules: %w", err)
	}
	ix := &Index{fsys: fsys, files: map[string][]string{}, soft: map[string][]string{}}
	for line := range strings.SplitSeq(string(dep), "\n") {
		if file, needs, ok := strings.Cut(line, ":"); ok {
			ix.files[Name(file)] = append([]string{file}, strings.Fields(needs)...)
		}
	}
	soft, err := fs.ReadFile(fsys, "modules.softdep")
	if err != nil {
		return ix, nil
	}
	for line := range strings.SplitSeq(string(soft), "\n") {
		ix.addSoft(strings.Fields(line))
	}
	return ix, nil
}

// addSoft reads "softdep NAME pre: A B post: C". What is wanted afterwards is
// asked for by the kernel itself.
func (ix *Index) addSoft(words []string) {
	if len(words) < 3 || words[0] != "softdep" {
		return
	}
	pre := false
	for _, w := range words[2:] {
		switch {
		case strings.HasSuffix(w, ":"):
			pre = w == "pre:"
		case pre:
			ix.soft[Clean(words[1])] = append(ix.soft[Clean(words[1])], w)
		}
	}
}

// Plan returns the files to load for a module, in their order: what it wants,
// what it needs, itself. None when there is no such module: it is built in, or
// not wanted in this image.
func (ix *Index) Plan(name string) []string {
	var files []string
	ix.plan(Clean(name), map[string]bool{}, &files)
	return files
}

func (ix *Index) plan(name string, seen map[string]bool, files *[]string) {
	if seen[name] {
		return // soft dependencies may form a ring
	}
	seen[name] = true
	needs := ix.files[name]
	if len(needs) == 0 {
		return
	}
	for _, w := range ix.soft[name] {
		ix.planAll(ix.wanted(w), seen, files)
	}
	for _, file := range slices.Backward(needs) { // the last is what all others rest on
		if Name(file) != name {
			ix.plan(Name(file), seen, files)
		}
	}
	*files = append(*files, needs[0])
}

func (ix *Index) planAll(names []string, seen map[string]bool, files *[]string) {
	for _, n := range names {
		ix.plan(Clean(n), seen, files)
	}
}

// wanted returns what a soft dependency may stand for: a module, or an alias of
// several.
func (ix *Index) wanted(name string) []string {
	if ix.files[Clean(name)] != nil {
		return []string{name}
	}
	found, _ := ix.Resolve([]string{name}) // soft: none is fine too
	return found[name]
}

// Resolve returns for each alias (a device's modalias, "fs-ext4", …) the names
// of the modules that serve it. It reads modules.alias once, and keeps none of it.
func (ix *Index) Resolve(aliases []string) (map[string][]string, error) {
	found := map[string][]string{}
	f, err := ix.fsys.Open("modules.alias")
	if err != nil {
		return found, fmt.Errorf("aliases of kernel modules: %w", err)
	}
	defer f.Close()
	wanted := byBus(aliases)
	in := bufio.NewScanner(bufio.NewReaderSize(f, 128<<10))
	for in.Scan() {
		pattern, name, ok := cutAlias(in.Bytes())
		if !ok {
			continue
		}
		for _, a := range wanted[string(bus(pattern))] {
			if match(pattern, a) && !slices.Contains(found[a], string(name)) {
				found[a] = append(found[a], string(name))
			}
		}
	}
	return found, in.Err()
}

// cutAlias reads "alias PATTERN NAME".
func cutAlias(line []byte) (pattern, name []byte, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte("alias "))
	if !ok {
		return nil, nil, false
	}
	i := bytes.LastIndexByte(rest, ' ')
	if i < 0 {
		return nil, nil, false
	}
	return rest[:i], rest[i+1:], true
}

// byBus sorts aliases by what comes before the first colon, in which nearly all
// patterns differ from nearly all aliases.
func byBus(aliases []string) map[string][]string {
	m := map[string][]string{}
	for _, a := range aliases {
		b := string(bus([]byte(a)))
		if !slices.Contains(m[b], a) {
			m[b] = append(m[b], a)
		}
	}
	return m
}

func bus(pattern []byte) []byte {
	before, _, found := bytes.Cut(pattern, []byte(":"))
	if !found {
		return nil
	}
	return before
}

// Name is a module's name as the kernel has it, from the path of its file.
func Name(file string) string {
	base, _, _ := strings.Cut(path.Base(file), ".ko")
	return Clean(base)
}

// Clean gives a module's name the kernel's spelling.
func Clean(name string) string { return strings.ReplaceAll(name, "-", "_") }
