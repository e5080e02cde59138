// Package declared keeps the folder in which services are declared
// (/mnt/etc/services.d): it reads it, and writes what the AC declares.
//
// It promises that while a declaration has a mistake, a service that runs by an
// earlier one goes on, and that a file is written whole or not at all, after it
// was found good. What a declaration may say is package spec's business.
package declared

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/services/spec"
)

// byAC begins the names of files that the AC wrote.
const byAC = "ac-"

// ErrRefused is wrapped when a declaration is not taken; nothing has changed.
var ErrRefused = errors.New("the declaration is refused")

// Folder is one folder of declarations. Its methods may be called from anywhere.
type Folder struct {
	dir string
	own []string // names that are not to be declared

	mu   sync.Mutex
	good map[string]spec.Service // as declared last without a mistake
}

// New returns the folder at dir. own are names of services that others have.
func New(dir string, own ...string) *Folder {
	return &Folder{dir: dir, own: own, good: map[string]spec.Service{}}
}

// Found is what a folder declares.
type Found struct {
	Services []spec.Service
	Invalid  []api.ServiceState // left out, or going on as declared before
	Problems []string           // FILE:LINE: what
}

// Names are those of services that are left out.
func (f Found) Names() (all []string) {
	for _, s := range f.Invalid {
		all = append(all, s.Name)
	}
	return all
}

// Read reads the folder. None is an empty one.
func (f *Folder) Read() (Found, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	files, err := f.files("")
	if err != nil {
		return Found{}, err
	}
	set := spec.Settle(files, f.own...)
	found := Found{Services: set.Services}
	for _, p := range set.Problems {
		found.Problems = append(found.Problems, p.String())
	}
	f.goOn(&found, set, files)
	f.good = map[string]spec.Service{}
	for _, s := range found.Services {
		f.good[s.Name] = s
	}
	return found, nil
}

// goOn keeps services as they were declared last, where that cannot be read now.
func (f *Folder) goOn(found *Found, set spec.Set, files []spec.File) {
	bad := set.Bad
	for name, s := range f.good {
		broken := slices.ContainsFunc(files, func(file spec.File) bool { return file.Broken && file.Path == s.File })
		there := slices.ContainsFunc(set.Services, func(now spec.Service) bool { return now.Name == name })
		if broken && !there && bad[name] == "" {
			bad[name] = "its file cannot be read, see problems"
		}
	}
	for name, why := range bad {
		old, ok := f.good[name]
		if ok {
			found.Services = append(found.Services, old)
			continue
		}
		found.Invalid = append(found.Invalid, api.ServiceState{Name: name, State: api.ServiceInvalid, Why: why})
	}
	slices.SortFunc(found.Services, func(a, b spec.Service) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(found.Invalid, func(a, b api.ServiceState) int { return cmp.Compare(a.Name, b.Name) })
}

// files parses all files but one.
func (f *Folder) files(but string) (files []spec.File, err error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the declarations of services: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(f.dir, e.Name())
		if filepath.Ext(path) != ".toml" || path == but {
			continue
		}
		text, err := readFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the declarations of services: %w", err)
		}
		files = append(files, spec.Parse(path, text))
	}
	return files, nil
}

// readFile reads what is not too large, and a little more of what is.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, spec.MaxSize+1))
}

// Stamp changes when a file does.
func (f *Folder) Stamp() string {
	var b strings.Builder
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return "none"
	}
	for _, e := range entries {
		if st, err := os.Stat(filepath.Join(f.dir, e.Name())); err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", e.Name(), st.ModTime().UnixNano(), st.Size())
		}
	}
	return b.String()
}

func (f *Folder) path(name string) string { return filepath.Join(f.dir, byAC+name+".toml") }

// Declare writes the declaration of one service, in place of an earlier one of
// the AC's. What has a mistake, or is declared elsewhere, is refused.
func (f *Folder) Declare(name, text string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !spec.Name(name) {
		return fmt.Errorf("declare %.80q: %w: it is no name for a service", name, ErrRefused)
	}
	path := f.path(name)
	file := spec.Parse(filepath.Base(path), []byte(text))
	if len(file.Problems) == 0 && (len(file.Services) != 1 || file.Services[0].Name != name) {
		return fmt.Errorf("%w: it has to be one [service.%s] and nothing else", ErrRefused, name)
	}
	others, err := f.files(path)
	if err != nil {
		return err
	}
	set := spec.Settle(append(others, file), f.own...)
	var errs []error
	for _, p := range set.Problems {
		if p.File == file.Path || strings.HasPrefix(p.Key, "service."+name+".") {
			errs = append(errs, errors.New(p.String()))
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrRefused, errors.Join(errs...))
	}
	if err := durable.MkdirAll(durable.OS, f.dir, 0o755); err != nil {
		return fmt.Errorf("declare %s: %w", name, err)
	}
	return durable.Write(durable.OS, path, []byte(text), 0o644)
}

// Remove takes back what the AC declared.
func (f *Folder) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !spec.Name(name) {
		return fmt.Errorf("remove %.80q: %w: it is no name of a service", name, ErrRefused)
	}
	if err := os.Remove(f.path(name)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w: the AC has not declared it; edit %s", name, ErrRefused, f.dir)
	} else if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return durable.SyncDir(durable.OS, f.dir)
}
