package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/crypto/chacha20poly1305"
)

// segment is one file: a mark of what had been read before, which has the number
// before the first and no data, and pieces with consecutive numbers, each
//
//	length of what is sealed (4 bytes), number (8), sealed: stream (1), bytes
//	read of stdout (8) and of stderr (8), bytes dropped (8), data
//
// all numbers big endian. The number is bound to what is sealed. The newest file
// may go on behind its last piece: with pieces of the job that it had before it was
// used again, and their numbers are lower.
type segment struct {
	of          *output
	first, last uint64 // last is first-1 as long as it is empty
	size        int64
	length      int64 // of the file, where that is more
	gone        atomic.Bool
}

const (
	recordHeader = 4 + 8
	pieceHeader  = 1 + 8 + 8 + 8
	sealing      = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
	maxRecord    = 1 << 20
)

// roll begins a new segment whose first piece will have a number.
func (o *output) roll(first uint64) error {
	if err := os.MkdirAll(o.dir(), 0o700); err != nil {
		return err
	}
	g := &segment{of: o, first: first, last: first - 1}
	o.buf = o.encode(o.buf[:0], Piece{Seq: first - 1, Read: o.last.Read, Dropped: o.dropped})
	g.size = int64(len(o.buf))
	f, err := o.again(g, o.buf)
	if err != nil {
		f, err = o.create(g, o.buf)
	}
	if err != nil {
		return err
	}
	o.leave()
	o.w = f
	if n := len(o.segments); n > 0 && o.segments[n-1].first == first { // the same file
		o.count(-o.segments[n-1].size)
		o.segments[n-1].gone.Store(true)
		o.segments = o.segments[:n-1]
	}
	o.segments = append(o.segments, g)
	o.count(g.size)
	o.spool.mu.Lock()
	defer o.spool.mu.Unlock()
	o.spool.order = append(o.spool.order, g)
	return nil
}

// again makes the spare file a segment that begins with a mark.
func (o *output) again(g *segment, mark []byte) (*os.File, error) {
	if o.spare == 0 {
		return nil, os.ErrNotExist
	}
	g.length, o.spare = o.spare, 0
	f, err := os.OpenFile(o.sparePath(), os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	if _, err = f.WriteAt(mark, 0); err == nil {
		err = os.Rename(o.sparePath(), o.path(g))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(o.sparePath()))
	}
	return f, nil
}

func (o *output) create(g *segment, mark []byte) (*os.File, error) {
	g.length = 0
	f, err := os.OpenFile(o.path(g), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(mark); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(o.path(g)))
	}
	return f, nil
}

// leave ends the writing of the last segment.
func (o *output) leave() {
	if o.w == nil {
		return
	}
	if g := o.segments[len(o.segments)-1]; g.length > g.size {
		_ = o.w.Truncate(g.size) // what is left there ends it when it is read after a crash
	}
	_ = o.w.Close()
}

// write appends a piece to the last segment, or to a new one when that is full
// or of an earlier run. The job's bound is kept; rolled says that the bounds of
// all are to be looked at.
func (o *output) write(p Piece) (rolled bool, err error) {
	n := len(o.segments)
	if o.w == nil || o.segments[n-1].size >= o.spool.opt.Limits.Segment || o.segments[n-1].last+1 != p.Seq {
		if err := o.roll(p.Seq); err != nil {
			return false, err
		}
		rolled = true
		for o.stored() > o.spool.opt.Limits.Job-o.spool.opt.Limits.Segment && len(o.segments) > 1 {
			o.dropOldest()
		}
		p.Dropped = o.dropped
	}
	g := o.segments[len(o.segments)-1]
	o.buf = o.encode(o.buf[:0], p)
	if _, err := o.w.WriteAt(o.buf, g.size); err != nil {
		_ = o.w.Truncate(g.size) // what is behind it would end it when it is read anyway
		return rolled, err
	}
	g.last = p.Seq
	g.size += int64(len(o.buf))
	o.count(int64(len(o.buf)))
	return rolled, nil
}

func (o *output) stored() (n int64) {
	for _, g := range o.segments {
		n += g.size
	}
	return n
}

func (o *output) encode(to []byte, p Piece) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(sealing+pieceHeader+len(p.Data)))
	to = binary.BigEndian.AppendUint64(to, p.Seq)
	at := len(to) + chacha20poly1305.NonceSizeX
	var head [pieceHeader]byte
	head[0] = p.Stream
	binary.BigEndian.PutUint64(head[1:], p.Read[0])
	binary.BigEndian.PutUint64(head[9:], p.Read[1])
	binary.BigEndian.PutUint64(head[17:], uint64(p.Dropped))
	nonce := freshNonce()
	to = append(to, nonce[:]...)
	to = append(to, head[:]...)
	to = append(to, p.Data...)
	to = append(to, make([]byte, chacha20poly1305.Overhead)...)
	text := to[at : len(to)-chacha20poly1305.Overhead]
	var about [64]byte
	o.spool.aead.Seal(text[:0], nonce[:], text, o.about(about[:0], p.Seq))
	return to
}

// decode opens what follows a record's header.
func (o *output) decode(to, sealed []byte, seq uint64) (Piece, error) {
	var about [64]byte
	text, err := unseal(o.spool.aead, to, sealed, o.about(about[:0], seq))
	if err != nil {
		return Piece{}, err
	}
	if len(text) < pieceHeader {
		return Piece{}, fmt.Errorf("a piece of %d bytes", len(text))
	}
	return Piece{
		Seq: seq, Stream: text[0], Data: text[pieceHeader:],
		Read:    [2]uint64{binary.BigEndian.Uint64(text[1:]), binary.BigEndian.Uint64(text[9:])},
		Dropped: int64(binary.BigEndian.Uint64(text[17:])),
	}, nil
}

// header reads the header at an offset of a segment of size bytes; io.EOF at its
// end, io.ErrUnexpectedEOF where no whole record follows.
func header(f *os.File, at, size int64) (sealed int, seq uint64, err error) {
	if at >= size {
		return 0, 0, io.EOF
	}
	var h [recordHeader]byte
	if _, err := f.ReadAt(h[:], at); err != nil {
		return 0, 0, errors.Join(io.ErrUnexpectedEOF, err)
	}
	n := binary.BigEndian.Uint32(h[:])
	if n < sealing+pieceHeader || n > maxRecord || at+recordHeader+int64(n) > size {
		return 0, 0, io.ErrUnexpectedEOF
	}
	return int(n), binary.BigEndian.Uint64(h[4:]), nil
}

// unacked counts the bytes of data in a segment beyond a number.
func (g *segment) unacked(path string, acked uint64) (n int64) {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	for at := int64(0); ; {
		sealed, seq, err := header(f, at, g.size)
		if err != nil {
			return n
		}
		if seq > acked {
			n += int64(sealed - sealing - pieceHeader)
		}
		at += recordHeader + int64(sealed)
	}
}
