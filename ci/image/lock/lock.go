// Package lock says exactly which packages an image is made of: name, version,
// architecture, size, SHA-256 and the place in the archive.
//
// The file of that name is text, one package a line, made by `make image-lock`
// and read in review. The package promises that what it parsed is complete and
// of the right architecture, and that what it formats it can parse. It is pure;
// resolve.go alone runs apt.
package lock

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Arch is the architecture of the images we build.
const Arch = "amd64"

// A Package is one line of the lock.
type Package struct {
	Name    string
	Version string
	Arch    string
	Size    int64
	SHA256  string
	Archive string // "debian" or "debian-security": the last part of the archive's address
	Path    string // below the archive's address
}

// A Lock is a whole file: when it was resolved, and the packages by name.
type Lock struct {
	Resolved time.Time
	Packages []Package
}

const header = `# The packages of the image; written by "make image-lock", do not edit.
# name version architecture size sha256 archive path
`

// Format writes the file.
func (l Lock) Format() []byte {
	var b bytes.Buffer
	b.WriteString(header)
	fmt.Fprintf(&b, "resolved %s\n", l.Resolved.UTC().Format(time.RFC3339))
	for _, p := range l.Packages {
		fmt.Fprintln(&b, p.Name, p.Version, p.Arch, p.Size, p.SHA256, p.Archive, p.Path)
	}
	return b.Bytes()
}

// Parse reads the file; errors name the line.
func Parse(name string, text []byte) (Lock, error) {
	var l Lock
	s := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; s.Scan(); n++ {
		fields := strings.Fields(s.Text())
		var err error
		switch {
		case len(fields) == 0 || strings.HasPrefix(fields[0], "#"):
		case fields[0] == "resolved" && len(fields) == 2:
			l.Resolved, err = time.Parse(time.RFC3339, fields[1])
		default:
			var p Package
			if p, err = parseLine(fields); err == nil {
				l.Packages = append(l.Packages, p)
			}
		}
		if err != nil {
			return Lock{}, fmt.Errorf("%s:%d: %w; run make image-lock, or put the line back as it was committed", name, n, err)
		}
	}
	if l.Resolved.IsZero() || len(l.Packages) == 0 {
		return Lock{}, fmt.Errorf("%s names no packages or not when they were resolved: run make image-lock", name)
	}
	return l, nil
}

func parseLine(f []string) (Package, error) {
	if len(f) != 7 {
		return Package{}, fmt.Errorf("%d words, not the 7 of a package", len(f))
	}
	size, err := strconv.ParseInt(f[3], 10, 64)
	if err != nil || size <= 0 {
		return Package{}, fmt.Errorf("%s: %q is no size", f[0], f[3])
	}
	if sum, err := hex.DecodeString(f[4]); err != nil || len(sum) != 32 {
		return Package{}, fmt.Errorf("%s: %q is no SHA-256", f[0], f[4])
	}
	if f[2] != Arch && f[2] != "all" {
		return Package{}, fmt.Errorf("%s is for %s, the image is for %s", f[0], f[2], Arch)
	}
	if path.IsAbs(f[6]) || path.Clean(f[6]) != f[6] || strings.HasPrefix(f[6], "..") {
		return Package{}, fmt.Errorf("%s: %q is no path below an archive", f[0], f[6])
	}
	return Package{Name: f[0], Version: f[1], Arch: f[2], Size: size, SHA256: f[4], Archive: f[5], Path: f[6]}, nil
}

// Get returns the package of a name.
func (l Lock) Get(name string) (Package, error) {
	i := slices.IndexFunc(l.Packages, func(p Package) bool { return p.Name == name })
	if i < 0 {
		return Package{}, fmt.Errorf("package %s is wanted but not in the lock: run make image-lock", name)
	}
	return l.Packages[i], nil
}

// Find returns the packages whose name begins so.
func (l Lock) Find(prefix string) []Package {
	var found []Package
	for _, p := range l.Packages {
		if strings.HasPrefix(p.Name, prefix) {
			found = append(found, p)
		}
	}
	return found
}

// Same says that two locks name the same packages, whenever resolved.
func Same(a, b Lock) bool { return slices.Equal(a.Packages, b.Packages) }
