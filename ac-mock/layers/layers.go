// Package layers knows the layers of the operating system that an AC has for
// its nodes: read-only images in one folder, each known by its SHA-256.
//
// It promises that a file is hashed once as long as it does not change, and
// that a file put there while the AC runs is found. Who may have a layer is
// the server's to say; what is in it is no secret.
package layers

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const pattern = "*.squashfs"

// ErrNone is wrapped when no file has the hash.
var ErrNone = errors.New("no such layer")

// Layers is a folder of layers. Its methods may be called concurrently.
type Layers struct {
	dir string

	mu     sync.Mutex
	hashed map[string]entry // by path
}

type entry struct {
	size  int64
	mtime time.Time
	sum   string
}

// Open returns the layers of a folder. An empty name is a folder without any.
func Open(dir string) (*Layers, error) {
	l := &Layers{dir: dir, hashed: map[string]entry{}}
	if dir == "" {
		return l, nil
	}
	st, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("folder of layers: %w; make it and put tools.squashfs of the image there (make image)", err)
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("folder of layers: %s is no folder", dir)
	}
	return l, nil
}

// Find opens the layer with a SHA-256, in hex. Hashing a new file of 300 MiB
// takes about a second, during which others wait.
func (l *Layers) Find(sum string) (*os.File, error) {
	if l.dir == "" {
		return nil, fmt.Errorf("%w: %.12s; this AC has none (layers in ac.toml)", ErrNone, sum)
	}
	paths, err := filepath.Glob(filepath.Join(l.dir, pattern))
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range paths {
		if is, err := l.hash(p); err == nil && is == sum {
			return os.Open(p)
		}
	}
	return nil, fmt.Errorf("%w: %.12s is not among the %d in %s", ErrNone, sum, len(paths), l.dir)
}

// hash is that of a file as it is now. The lock is held.
func (l *Layers) hash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return "", errors.Join(err, fs.ErrInvalid)
	}
	if e, ok := l.hashed[path]; ok && e.size == st.Size() && e.mtime.Equal(st.ModTime()) {
		return e.sum, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	l.hashed[path] = entry{st.Size(), st.ModTime(), sum}
	return sum, nil
}
