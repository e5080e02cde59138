package support

import (
	"bytes"
	"context"
	"io"
	"sync"
)

// Recent keeps the last bytes that were written to it, by whole lines. It may
// be used concurrently.
type Recent struct {
	mu   sync.Mutex
	most int
	text []byte
}

// NewRecent keeps at least the last half of most bytes, and at most all of them.
func NewRecent(most int) *Recent { return &Recent{most: most} }

// Write implements io.Writer. It never fails.
func (r *Recent) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.text)+len(line) > r.most {
		half := r.text[min(len(r.text), max(0, len(r.text)-r.most/2)):]
		_, half, _ = bytes.Cut(half, []byte("\n"))
		r.text = append([]byte(nil), half...)
	}
	r.text = append(r.text, line[max(0, len(line)-r.most/2):]...)
	return len(line), nil
}

// Part is what is kept, as a part of a bundle.
func (r *Recent) Part(name string) Part {
	return Part{Name: name, Write: func(_ context.Context, w io.Writer) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		_, err := w.Write(r.text)
		return err
	}}
}
