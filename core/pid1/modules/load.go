package modules

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Loader loads modules of one index. Its methods may be called at once.
type Loader struct {
	index  *Index
	insert func(f fs.File) error

	mu    sync.Mutex
	tried map[string]*attempt // by file
}

// attempt is made once: a module that could not be loaded now cannot later.
type attempt struct {
	once sync.Once
	err  error
}

// NewLoader returns a Loader for the modules in fsys, a folder like
// /lib/modules/VERSION.
func NewLoader(fsys fs.FS) (*Loader, error) {
	index, err := ReadIndex(fsys)
	if err != nil {
		return nil, err
	}
	return &Loader{index: index, insert: insert, tried: map[string]*attempt{}}, nil
}

// Load loads modules by name, each after those it needs. A name the index does
// not know is no error (see Index.Plan).
func (l *Loader) Load(names ...string) error {
	var errs []error
	for _, name := range names {
		if err := l.load(name); err != nil {
			errs = append(errs, fmt.Errorf("load kernel module %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// load goes on after an error: the module itself fails then if it matters, and
// the reason is the first error.
func (l *Loader) load(name string) error {
	var errs []error
	var last error
	for _, file := range l.index.Plan(name) {
		a := l.attempt(file)
		a.once.Do(func() { a.err = l.open(file) })
		if last = a.err; last != nil {
			errs = append(errs, fmt.Errorf("%s: %w", Name(file), last))
		}
	}
	if last == nil {
		return nil
	}
	return errors.Join(errs...)
}

func (l *Loader) attempt(file string) *attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.tried[file]
	if a == nil {
		a = new(attempt)
		l.tried[file] = a
	}
	return a
}

func (l *Loader) open(file string) error {
	f, err := l.index.fsys.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	err = l.insert(f)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// insert gives a module to the kernel (finit_module(2)).
func insert(f fs.File) error {
	file, ok := f.(*os.File)
	if !ok {
		return errors.New("is not in a file system of this machine")
	}
	return unix.FinitModule(int(file.Fd()), "", 0)
}

// absent tells whether a module found that its hardware is not there, or is
// somebody else's.
func absent(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EBUSY)
}
