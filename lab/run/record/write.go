package record

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"

	"github.com/g8os/g8os/core/version"
	"github.com/g8os/g8os/lab/run"
)

// Writer writes a record while the run goes on. It is not safe for concurrent
// use.
type Writer struct {
	f   *os.File
	sum hash.Hash
	err error // the first that happened: then nothing more is written
}

// Create begins a record in a file that is not there yet. Version and MadeBy of
// the head are set.
func Create(path string, h Head) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("record %s: is there already; want another name, or remove it", path)
	}
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", path, errors.Unwrap(err))
	}
	w := &Writer{f: f, sum: sha256.New()}
	h.Version, h.MadeBy = Version, version.Version()
	w.write(line{Record: &h})
	return w, w.err
}

// Path of the file.
func (w *Writer) Path() string { return w.f.Name() }

// Note writes what happened. What goes wrong is told by End.
func (w *Writer) Note(n run.Note) {
	if n.Progress == nil {
		w.write(line{Note: n})
	}
}

// End writes the last line, and says what went wrong with any. The sum of it is
// set.
func (w *Writer) End(e End) error {
	e.Sum = hex.EncodeToString(w.sum.Sum(nil))
	w.write(line{End: &e})
	err := errors.Join(w.err, w.f.Close())
	if err != nil {
		return fmt.Errorf("record %s: is not whole: %w", w.f.Name(), err)
	}
	return nil
}

func (w *Writer) write(l line) {
	if w.err != nil {
		return
	}
	text, err := json.Marshal(l)
	if err == nil {
		text = append(text, '\n')
		w.sum.Write(text)
		_, err = w.f.Write(text)
	}
	w.err = err
}
