package spool

import (
	"sync"

	"github.com/g8os/g8os/core/api"
)

// recentMost bounds what is remembered of all jobs' output, in bytes: a session
// is not further behind a job than that, as long as its AC takes what is said
// (see Full).
const recentMost = 5 << 20

// remember keeps a piece that was written, so that a session need not read and
// open it again. It has o.mu.
func (o *output) remember(p Piece) {
	buf := o.spool.room(len(p.Data))
	for buf == nil && len(o.recent) > 0 {
		o.forgetUpTo(o.recent[0].Seq)
		buf = o.spool.room(len(p.Data))
	}
	if buf == nil { // other jobs have it all
		return
	}
	p.Data = append(buf, p.Data...)
	o.recent = append(o.recent, p)
}

// remembered is the piece with a number, if it is remembered: those that are
// follow each other. Its data is a part of buf, if that is large enough.
func (o *output) remembered(seq uint64, buf []byte) (Piece, bool) {
	if len(o.recent) == 0 || seq < o.recent[0].Seq || seq-o.recent[0].Seq >= uint64(len(o.recent)) {
		return Piece{}, false
	}
	p := o.recent[seq-o.recent[0].Seq]
	p.Data = append(buf[:0], p.Data...)
	return p, true
}

// forgetUpTo gives up what is remembered up to a number. It has o.mu.
func (o *output) forgetUpTo(seq uint64) {
	for len(o.recent) > 0 && o.recent[0].Seq <= seq {
		o.spool.release(o.recent[0].Data)
		o.recent[0].Data = nil
		o.recent = o.recent[1:]
	}
	if len(o.recent) == 0 {
		o.recent = nil
	}
}

// pieces are buffers for a piece each.
var pieces = sync.Pool{New: func() any { return new([api.MaxPiece]byte) }}

// room returns an empty buffer of at least a size, nil when there is too much.
// Small pieces have buffers of their own, large ones are of one size and used again.
func (s *Spool) room(size int) []byte {
	large := size > api.MaxPiece/4 && size <= api.MaxPiece
	if large {
		size = api.MaxPiece
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recent+int64(size)+pieceCost > recentMost {
		return nil
	}
	s.recent += int64(size) + pieceCost
	if large {
		return pieces.Get().(*[api.MaxPiece]byte)[:0]
	}
	return make([]byte, 0, size)
}

// release takes a buffer back.
func (s *Spool) release(buf []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent -= int64(cap(buf)) + pieceCost
	if cap(buf) == api.MaxPiece {
		pieces.Put((*[api.MaxPiece]byte)(buf[:api.MaxPiece]))
	}
}
