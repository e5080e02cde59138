package client

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// SystemContexts is where the contexts of a machine's own grids are, such as
// those of the lab.
const SystemContexts = "/run/g8os/contexts"

// Context says where the ACs of a grid are and who we are to them.
type Context struct {
	File        string   `toml:"-"`
	AC          []string `toml:"ac"`          // URLs, tried in order
	CA          string   `toml:"ca"`          // PEM file with the grid's root
	Certificate string   `toml:"certificate"` // PEM file, leaf first
	Key         string   `toml:"key"`         // PEM file
}

// Find looks for a context. name is a name, or a path of a file; empty means
// $G8OS_CONTEXT, then "default", then the only one there is. It looks in
// ~/.config/g8os and then in SystemContexts. Errors wrap ErrContext.
func Find(name string, getenv func(string) string) (Context, error) {
	return find(name, getenv, folders(getenv))
}

func folders(getenv func(string) string) []string {
	config := getenv("XDG_CONFIG_HOME")
	if config == "" && getenv("HOME") != "" {
		config = filepath.Join(getenv("HOME"), ".config")
	}
	if config == "" {
		return []string{SystemContexts}
	}
	return []string{filepath.Join(config, "g8os"), SystemContexts}
}

func find(name string, getenv func(string) string, dirs []string) (Context, error) {
	if name == "" {
		name = getenv("G8OS_CONTEXT")
	}
	if strings.ContainsRune(name, '/') || strings.HasSuffix(name, ".toml") {
		return Load(name)
	}
	asked := name != ""
	if !asked {
		name = "default"
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name+".toml")
		if _, err := os.Stat(path); err == nil {
			return Load(path)
		}
	}
	all := list(dirs)
	if !asked && len(all) == 1 {
		return Load(all[0])
	}
	return Context{}, missing(name, asked, all, dirs)
}

func missing(name string, asked bool, all, dirs []string) error {
	where := strings.Join(dirs, " or ")
	var names []string
	for _, path := range all {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".toml"))
	}
	switch {
	case len(all) == 0:
		return remedied{fmt.Errorf("%w: there is none in %s", ErrContext, where),
			"bring a lab up (make lab-up), or copy admin.toml and the files beside it from the AC's operators folder to " + dirs[0] + " and name it NAME.toml"}
	case asked:
		return remedied{fmt.Errorf("%w: none is named %q in %s", ErrContext, name, where), "take one of " + strings.Join(names, ", ")}
	}
	return remedied{fmt.Errorf("%w: there are several and none is named default", ErrContext), "say --context with one of " + strings.Join(names, ", ")}
}

// list returns the context files of some folders, without those that an
// earlier folder hides.
func list(dirs []string) []string {
	var all []string
	seen := map[string]bool{}
	for _, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(dir, "*.toml"))
		slices.Sort(files)
		for _, f := range files {
			if !seen[filepath.Base(f)] {
				seen[filepath.Base(f)] = true
				all = append(all, f)
			}
		}
	}
	return all
}

// Load reads a context file. Paths in it are relative to its folder.
func Load(path string) (Context, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Context{}, unreadable("", err)
	}
	c := Context{File: path}
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&c); err != nil {
		return Context{}, fmt.Errorf("%w: %s: %s", ErrContext, path, oneLine(err))
	}
	for _, f := range []struct {
		key  string
		path *string
	}{{"ca", &c.CA}, {"certificate", &c.Certificate}, {"key", &c.Key}} {
		if *f.path == "" {
			return Context{}, fmt.Errorf("%w: %s: %s is not set; want the path of a PEM file", ErrContext, path, f.key)
		}
		if !filepath.IsAbs(*f.path) {
			*f.path = filepath.Join(filepath.Dir(path), *f.path)
		}
	}
	if len(c.AC) == 0 {
		return Context{}, fmt.Errorf(`%w: %s: ac is not set; want ac = ["https://ADDRESS:8966"]`, ErrContext, path)
	}
	for _, u := range c.AC {
		if p, err := url.Parse(u); err != nil || p.Scheme != "https" || p.Host == "" {
			return Context{}, fmt.Errorf("%w: %s: ac: %q is not a URL such as https://192.168.7.2:8966", ErrContext, path, u)
		}
	}
	return c, nil
}

// unreadable is a file of a context that cannot be read. One that is somebody
// else's is the commonest: a lab's operator is root.
func unreadable(what string, err error) error {
	failed := fmt.Errorf("%w: %s%w", ErrContext, what, err)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return remedied{failed, "run g8os as whom the file belongs to (sudo, for the contexts of labs), or take a --context of your own"}
	case errors.Is(err, fs.ErrNotExist):
		return remedied{failed, "see that the path is right, and that the grid it is of still exists (g8lab list)"}
	}
	return failed
}

func oneLine(err error) string {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		line, _ := strict.Errors[0].Position()
		return fmt.Sprintf("line %d: %s: no such key; there are ac, ca, certificate, key", line, strings.Join(strict.Errors[0].Key(), "."))
	}
	if dec, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := dec.Position()
		return fmt.Sprintf("line %d: %s", line, strings.TrimPrefix(dec.Error(), "toml: "))
	}
	return err.Error()
}

// Save writes a context file. Paths are written as they are.
func (c Context) Save(path string, mode fs.FileMode) error {
	text, err := toml.Marshal(c)
	if err != nil {
		return fmt.Errorf("context %s: %w", path, err)
	}
	if err := os.WriteFile(path, text, mode); err != nil {
		return fmt.Errorf("write context: %w", err)
	}
	return nil
}
