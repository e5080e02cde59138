package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/crypto/chacha20poly1305"
)

func freshNonce() (nonce [chacha20poly1305.NonceSizeX]byte) {
	_, _ = rand.Read(nonce[:]) // never fails (crypto/rand)
	return nonce
}

// cursor is how far a job's output has been read.
type cursor struct {
	segment *segment
	f       *os.File
	at      int64  // offset of the next record
	next    uint64 // the lowest number it may have
}

func (c *cursor) close() {
	if c.f != nil {
		_ = c.f.Close()
	}
	*c = cursor{}
}

// Read returns the first piece of a job that has the number from or a higher
// one; ok is false when there is none. Its data is a part of buf, if that is
// large enough. Dropped is what was dropped of the job so far: all of it lay
// before this piece.
func (s *Spool) Read(id string, from uint64, buf []byte) (p Piece, ok bool) {
	o := s.known(id)
	if o == nil {
		return Piece{}, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if p, ok = o.remembered(from, buf); !ok {
		p, ok = o.read(from, buf)
	}
	if !ok {
		i := slices.IndexFunc(o.tail, func(p Piece) bool { return p.Seq >= from })
		if i < 0 {
			return Piece{}, false
		}
		p, ok = o.tail[i], true
		p.Data = append(buf[:0], p.Data...)
	}
	p.Dropped = o.dropped
	return p, ok
}

// read looks on the disk. A record that cannot be read ends its segment.
func (o *output) read(from uint64, buf []byte) (Piece, bool) {
	for _, g := range o.segments {
		if g.last < from {
			continue
		}
		p, err := o.readFrom(g, from, buf)
		if err == nil {
			return p, true
		}
		if !errors.Is(err, io.EOF) {
			o.spool.opt.Log.Warn("output of a job cannot be read back: the rest of its file is left out", "file", o.path(g), "error", err)
		}
	}
	return Piece{}, false
}

func (o *output) readFrom(g *segment, from uint64, buf []byte) (Piece, error) {
	c := &o.r
	if c.segment != g || c.next > from {
		c.close()
		f, err := os.Open(o.path(g))
		if err != nil {
			return Piece{}, err
		}
		*c = cursor{segment: g, f: f}
	}
	for {
		n, seq, err := header(c.f, c.at, g.size)
		if err != nil {
			return Piece{}, err
		}
		at := c.at + recordHeader
		c.at, c.next = at+int64(n), seq+1
		if seq < max(from, g.first) { // the mark is no piece
			continue
		}
		o.buf = slices.Grow(o.buf[:0], n)[:n]
		if _, err := c.f.ReadAt(o.buf, at); err != nil {
			return Piece{}, err
		}
		return o.decode(buf[:0], o.buf, seq)
	}
}

// loadOutput finds what earlier runs have left. What belongs to no job that is
// still to be told is removed.
func (s *Spool) loadOutput(kept *Kept) {
	wanted := map[string]bool{}
	for _, r := range kept.Records {
		if r.Told {
			continue
		}
		o := s.of(r.ID)
		wanted[o.name] = true
		if err := o.load(); err != nil {
			kept.Problems = append(kept.Problems, fmt.Sprintf("output of job %s: %v", r.ID, err))
		}
	}
	entries, _ := os.ReadDir(filepath.Join(s.opt.Dir, "out"))
	for _, e := range entries {
		if !wanted[e.Name()] {
			_ = os.RemoveAll(filepath.Join(s.opt.Dir, "out", e.Name()))
		}
	}
}

// load finds the segments of a job, and the end of the last one: what was not
// written whole is cut off.
func (o *output) load() error {
	entries, err := os.ReadDir(o.dir())
	if err != nil {
		return nil // it said nothing
	}
	for _, e := range entries { // by name, which is by number
		first, err := strconv.ParseUint(e.Name(), 16, 64)
		info, ierr := e.Info()
		if err != nil || ierr != nil {
			continue
		}
		g := &segment{of: o, first: first, last: first - 1, size: info.Size()}
		if n := len(o.segments); n > 0 {
			o.segments[n-1].last = first - 1
		}
		o.segments = append(o.segments, g)
		o.spool.order = append(o.spool.order, g)
		o.spool.total += g.size
	}
	return o.loadLast()
}

func (o *output) loadLast() error {
	n := len(o.segments)
	if n == 0 {
		return nil
	}
	g := o.segments[n-1]
	o.last.Seq, o.acked = g.first-1, o.segments[0].first-1
	f, err := os.OpenFile(o.path(g), os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	whole := int64(0)
	for {
		sealed, seq, err := header(f, whole, g.size)
		if err != nil || seq != g.last+1 && whole > 0 || seq != g.first-1 && whole == 0 {
			break
		}
		buf := make([]byte, sealed)
		if _, err := f.ReadAt(buf, whole+recordHeader); err != nil {
			break
		}
		p, err := o.decode(nil, buf, seq)
		if err != nil {
			break
		}
		whole += recordHeader + int64(sealed)
		g.last, o.last, o.dropped = seq, p, p.Dropped
		o.last.Data = nil
	}
	o.spool.total += whole - g.size
	g.size = whole
	if err := f.Truncate(whole); err != nil || whole == 0 { // without its mark it is begun anew
		return errors.Join(err, f.Close())
	}
	o.w = f
	return nil
}
