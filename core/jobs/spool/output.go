package spool

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Piece is a piece of what a job said.
type Piece struct {
	Seq     uint64    // its number
	Stream  byte      // 1 stdout, 2 stderr
	Read    [2]uint64 // how many bytes of each stream had been read with it
	Dropped int64     // bytes of the job that had been dropped when it was kept
	Data    []byte
}

// output is what is kept of one job: segments on the disk, and behind them, in
// the tail, what the disk did not take.
type output struct {
	spool *Spool
	name  string

	mu        sync.Mutex
	segments  []*segment // oldest first; the last is written to
	spare     int64      // length of the file for the next one; 0: there is none
	w         *os.File
	tail      []Piece
	tailBytes int64
	last      Piece   // the newest, without Data
	recent    []Piece // the newest of those on the disk
	acked     uint64
	dropped   int64
	buf       []byte
	r         cursor
	gone      bool
}

// of returns the output of a job.
func (s *Spool) of(id string) *output {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.jobs[id]
	if o == nil {
		o = &output{spool: s, name: s.name(id)}
		s.jobs[id] = o
	}
	return o
}

func (s *Spool) known(id string) *output {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobs[id]
}

// Append keeps a piece of a job's output; its Seq is one more than that of the
// last. Data is copied.
func (s *Spool) Append(id string, p Piece) {
	o := s.of(id)
	o.mu.Lock()
	if o.gone {
		o.mu.Unlock()
		return
	}
	p.Dropped = o.dropped
	rolled, err := false, error(nil)
	if s.aead != nil && len(o.tail) == 0 {
		rolled, err = o.write(p)
	}
	if s.aead == nil || len(o.tail) > 0 || err != nil {
		o.forgetUpTo(p.Seq)
		o.keepInMemory(p)
	} else {
		o.remember(p)
	}
	o.last = Piece{Seq: p.Seq, Stream: p.Stream, Read: p.Read}
	o.mu.Unlock()
	if err != nil {
		s.opt.Log.Warn("output of a job is kept in memory: the disk does not take it", "error", err)
		s.records.fail(err)
	}
	if rolled {
		s.bound()
	}
}

// keepInMemory has o.mu.
func (o *output) keepInMemory(p Piece) {
	p.Data = slices.Clone(p.Data)
	o.tail = append(o.tail, p)
	o.grow(int64(len(p.Data)) + pieceCost)
	for o.tailBytes > o.spool.opt.Limits.Memory || o.tailBytes > pieceCost && o.spool.crowded() {
		o.dropped += int64(len(o.tail[0].Data))
		o.shorten()
	}
}

// pieceCost is what a piece in memory counts beside its bytes.
const pieceCost = 64

func (o *output) grow(by int64) {
	o.tailBytes += by
	o.spool.mu.Lock()
	defer o.spool.mu.Unlock()
	o.spool.memory += by
}

func (o *output) shorten() {
	o.grow(-int64(len(o.tail[0].Data)) - pieceCost)
	o.tail[0].Data = nil
	o.tail = o.tail[1:]
}

func (s *Spool) crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.memory > 8*s.opt.Limits.Memory
}

// Last is the newest piece of a job, without Data; zero when there was none.
func (s *Spool) Last(id string) Piece {
	o := s.known(id)
	if o == nil {
		return Piece{}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

// First is the number of the oldest piece of a job that is kept, or that the
// next one will have.
func (s *Spool) First(id string) uint64 {
	o := s.known(id)
	if o == nil {
		return 1
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(o.segments) > 0:
		return o.segments[0].first
	case len(o.tail) > 0:
		return o.tail[0].Seq
	}
	return o.last.Seq + 1
}

// Dropped counts the bytes of a job that were too many to keep.
func (s *Spool) Dropped(id string) int64 {
	o := s.known(id)
	if o == nil {
		return 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}

// Full says whether so much of a job is kept that it had better wait for an AC
// which takes what it says: a quarter of what is kept at most.
func (s *Spool) Full(id string) bool {
	o := s.known(id)
	if o == nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stored() > s.opt.Limits.Job/4 || o.tailBytes > s.opt.Limits.Memory/4
}

// Ack removes what the AC has of a job, up to a number.
func (s *Spool) Ack(id string, seq uint64) {
	o := s.known(id)
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acked = max(o.acked, seq)
	o.forgetUpTo(seq)
	for len(o.tail) > 0 && o.tail[0].Seq <= seq {
		o.shorten()
	}
	if len(o.tail) == 0 {
		o.tail = nil
	}
	if n := len(o.segments); n > 0 && o.segments[n-1].last <= seq && o.segments[n-1].size >= s.opt.Limits.Segment/4 {
		_ = o.roll(o.last.Seq + 1) // if that fails, it goes on in the one there is
	}
	for len(o.segments) > 1 && o.segments[0].last <= seq {
		o.retireOldest()
	}
}

// remove forgets what a job said.
func (s *Spool) remove(id string) {
	o := s.known(id)
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone = true
	for len(o.tail) > 0 {
		o.shorten()
	}
	o.forgetUpTo(o.last.Seq)
	o.close()
	for len(o.segments) > 0 {
		o.removeOldest()
	}
	if s.aead != nil {
		if err := os.RemoveAll(o.dir()); err != nil {
			s.opt.Log.Warn("what a job said stays on the disk, although the AC has it", "error", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.jobs, id)
}

func (o *output) dir() string { return filepath.Join(o.spool.opt.Dir, "out", o.name) }

// close has o.mu.
func (o *output) close() {
	if o.w != nil {
		_ = o.w.Close()
		o.w = nil
	}
	o.r.close()
}

func (s *Spool) closeOutput() {
	s.mu.Lock()
	all := make([]*output, 0, len(s.jobs))
	for _, o := range s.jobs {
		all = append(all, o)
	}
	s.mu.Unlock()
	for _, o := range all {
		o.mu.Lock()
		o.close()
		o.gone = true
		o.mu.Unlock()
	}
}

func (o *output) path(g *segment) string {
	return filepath.Join(o.dir(), fmt.Sprintf("%016x", g.first))
}

func (o *output) sparePath() string { return filepath.Join(o.dir(), "spare") }

// about binds a sealed piece to its place.
func (o *output) about(to []byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(to, o.name...), seq)
}
