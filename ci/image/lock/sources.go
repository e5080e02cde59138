package lock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A Source is a Debian archive of this machine's apt.
type Source struct {
	URI      string // without a slash at its end
	Suites   []string
	SignedBy string
}

// Sources reads the archives of Debian itself (…/debian, …/debian-security)
// from a folder like /etc/apt, in the one-line and in the deb822 form. Archives
// of others are left out: nothing of an image comes from them.
func Sources(dir string) ([]Source, error) {
	files, err := filepath.Glob(filepath.Join(dir, "sources.list.d", "*"))
	if err != nil {
		return nil, err
	}
	var found []Source
	for _, file := range append([]string{filepath.Join(dir, "sources.list")}, files...) {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		switch filepath.Ext(file) {
		case ".list":
			found = append(found, oneLine(string(text))...)
		case ".sources":
			found = append(found, deb822(string(text))...)
		}
	}
	found = slices.DeleteFunc(found, func(s Source) bool {
		return !slices.Contains([]string{"debian", "debian-security"}, path.Base(s.URI))
	})
	if len(found) == 0 {
		return nil, fmt.Errorf("%s names no Debian archive (an address that ends in /debian): this is where the image's packages come from", dir)
	}
	return found, nil
}

func oneLine(text string) []Source {
	var found []Source
	for line := range strings.Lines(text) {
		line, signed := options(line)
		f := strings.Fields(line)
		if len(f) < 4 || f[0] != "deb" || !slices.Contains(f[3:], "main") {
			continue
		}
		found = append(found, Source{URI: strings.TrimSuffix(f[1], "/"), Suites: []string{f[2]}, SignedBy: signed})
	}
	return found
}

// options takes "[signed-by=…]" out of a line.
func options(line string) (rest, signed string) {
	before, after, ok := strings.Cut(line, "[")
	inside, after, closed := strings.Cut(after, "]")
	if !ok || !closed {
		return line, ""
	}
	for _, o := range strings.Fields(inside) {
		if v, is := strings.CutPrefix(o, "signed-by="); is {
			signed = v
		}
	}
	return before + after, signed
}

func deb822(text string) []Source {
	var found []Source
	for _, stanza := range strings.Split(text, "\n\n") {
		fields := map[string]string{}
		for line := range strings.Lines(stanza) {
			if k, v, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") {
				fields[strings.ToLower(k)] = strings.TrimSpace(v)
			}
		}
		if !slices.Contains(strings.Fields(fields["types"]), "deb") || !slices.Contains(strings.Fields(fields["components"]), "main") || fields["enabled"] == "no" {
			continue
		}
		for _, uri := range strings.Fields(fields["uris"]) {
			found = append(found, Source{URI: strings.TrimSuffix(uri, "/"), Suites: strings.Fields(fields["suites"]), SignedBy: fields["signed-by"]})
		}
	}
	return found
}
