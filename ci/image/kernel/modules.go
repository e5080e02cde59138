// Package kernel picks modules of a kernel, with all that they need.
//
// What a module needs and answers to is read from the module itself. It
// promises that the modules picked are complete: none lacks one it depends on.
// The indexes for modprobe are made by depmod.
package kernel

import (
	"bytes"
	"debug/elf"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/g8os/g8os/ci/image/tree"
)

// A Module is one .ko file.
type Module struct {
	Path     string   // kernel/drivers/net/veth.ko
	Name     string   // veth
	Depends  []string // names
	Before   []string // what a soft dependency wants loaded before; names or aliases
	Aliases  []string
	Firmware []string // files it may ask for
}

// Read reads what a module says of itself.
func Read(p string, content tree.Blob) (Module, error) {
	m := Module{Path: p, Name: nameOf(p)}
	f, err := elf.NewFile(content.Reader())
	if err != nil {
		return m, fmt.Errorf("%s: %w", p, err)
	}
	if f.Machine != elf.EM_X86_64 {
		return m, fmt.Errorf("%s is for %s, the image is for x86-64", p, f.Machine)
	}
	section := f.Section(".modinfo")
	if section == nil {
		return m, fmt.Errorf("%s has no .modinfo: it is no kernel module", p)
	}
	info, err := section.Data()
	if err != nil {
		return m, fmt.Errorf("%s: %w", p, err)
	}
	for _, field := range bytes.Split(info, []byte{0}) {
		m.set(string(field))
	}
	return m, nil
}

func (m *Module) set(field string) {
	key, value, _ := strings.Cut(field, "=")
	switch key {
	case "depends":
		for _, d := range strings.Split(value, ",") {
			if d != "" {
				m.Depends = append(m.Depends, canonical(d))
			}
		}
	case "alias":
		m.Aliases = append(m.Aliases, canonical(value))
	case "firmware":
		m.Firmware = append(m.Firmware, value)
	case "softdep":
		m.Before = append(m.Before, before(value)...)
	}
}

// before reads "pre: a b post: c".
func before(softdep string) []string {
	var names []string
	pre := false
	for _, word := range strings.Fields(softdep) {
		if strings.HasSuffix(word, ":") {
			pre = word == "pre:"
		} else if pre {
			names = append(names, canonical(word))
		}
	}
	return names
}

func nameOf(p string) string { return canonical(strings.TrimSuffix(path.Base(p), ".ko")) }

// canonical is how the kernel writes names: it takes - and _ for the same.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// Pick returns the modules that want says yes to, and all that those need,
// sorted by path. What is built into the kernel is named by builtin.
func Pick(all []Module, builtin []string, want func(p string) bool) ([]Module, error) {
	byName, byAlias := map[string]*Module{}, map[string][]*Module{}
	for i := range all {
		m := &all[i]
		byName[m.Name] = m
		for _, a := range m.Aliases {
			byAlias[a] = append(byAlias[a], m)
		}
	}
	in := map[string]bool{}
	for _, b := range builtin {
		in[nameOf(b)] = true
	}
	picked := map[string]*Module{}
	var pick func(m *Module) error
	pick = func(m *Module) error {
		if picked[m.Path] != nil {
			return nil
		}
		picked[m.Path] = m
		for _, d := range m.Depends {
			if in[d] {
				continue
			}
			if byName[d] == nil {
				return fmt.Errorf("%s depends on %s, which the kernel's package does not have", m.Path, d)
			}
			if err := pick(byName[d]); err != nil {
				return err
			}
		}
		for _, d := range m.Before { // may be built in, or not there: soft
			others := byAlias[d]
			if byName[d] != nil {
				others = []*Module{byName[d]}
			}
			for _, o := range others {
				if err := pick(o); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for i := range all {
		if want(all[i].Path) {
			if err := pick(&all[i]); err != nil {
				return nil, err
			}
		}
	}
	result := make([]Module, 0, len(picked))
	for _, m := range picked {
		result = append(result, *m)
	}
	slices.SortFunc(result, func(a, b Module) int { return strings.Compare(a.Path, b.Path) })
	return result, nil
}

// Match returns a function that says whether a path begins with one of these
// folders (they end in /), or is one of these files, and with none of those
// that have a "-" in front.
func Match(patterns ...string) func(p string) bool {
	fits := func(p, pattern string) bool {
		return p == pattern || strings.HasSuffix(pattern, "/") && strings.HasPrefix(p, pattern)
	}
	return func(p string) bool {
		in := false
		for _, pattern := range patterns {
			if not, is := strings.CutPrefix(pattern, "-"); is {
				if fits(p, not) {
					return false
				}
			} else if fits(p, pattern) {
				in = true
			}
		}
		return in
	}
}
