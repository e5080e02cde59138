package spool

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// bound drops the oldest output of all jobs until there is room, in the spool
// and on the disk.
func (s *Spool) bound() {
	for {
		s.mu.Lock()
		full := s.total > s.opt.Limits.All || len(s.order) > 0 && s.total > 0 && s.diskFull()
		var oldest *segment
		for full && oldest == nil && len(s.order) > 0 {
			if g := s.order[0]; !g.gone.Load() {
				oldest = g
			}
			s.order = s.order[1:]
		}
		s.mu.Unlock()
		if oldest == nil {
			return
		}
		oldest.of.drop(oldest)
	}
}

// diskFull says whether the disk has less room than output may leave it.
func (s *Spool) diskFull() bool {
	var st unix.Statfs_t
	if err := unix.Statfs(s.opt.Dir, &st); err != nil {
		return false // the next write will tell
	}
	return int64(st.Bavail)*100 < int64(st.Blocks)*s.opt.Limits.Spare
}

// drop gives up the oldest output of a job, up to a segment.
func (o *output) drop(g *segment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Contains(o.segments, g) {
		return
	}
	if g == o.segments[len(o.segments)-1] {
		if err := o.roll(o.last.Seq + 1); err != nil {
			o.spool.opt.Log.Warn("output of a job cannot be dropped", "error", err)
			return
		}
	}
	for slices.Contains(o.segments, g) {
		o.dropOldest()
	}
}

func (o *output) dropOldest() {
	had := o.dropped
	o.dropped += o.segments[0].unacked(o.path(o.segments[0]), o.acked)
	o.removeOldest()
	if had == 0 {
		o.spool.opt.Log.Warn("output of a job is dropped, the oldest first: the AC does not take it and there is too much", "bytes", o.dropped)
	}
}

func (o *output) removeOldest() {
	g := o.takeOldest()
	if err := os.Remove(o.path(g)); err != nil {
		o.spool.opt.Log.Debug("a segment stays", "error", err)
	}
}

// retireOldest takes out what the AC has. One file of a job is kept for its next
// segment: to write over it costs less than to make one and to remove one.
func (o *output) retireOldest() {
	if o.spare > 0 || os.Rename(o.path(o.segments[0]), o.sparePath()) != nil {
		o.removeOldest()
		return
	}
	g := o.takeOldest()
	o.spare = max(g.size, g.length)
}

func (o *output) takeOldest() *segment {
	g := o.segments[0]
	o.segments = o.segments[1:]
	o.forgetUpTo(g.last)
	g.gone.Store(true)
	o.count(-g.size)
	return g
}

func (o *output) count(by int64) {
	o.spool.mu.Lock()
	defer o.spool.mu.Unlock()
	o.spool.total += by
}
