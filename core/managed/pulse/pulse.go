// Package pulse says when a session sends its heartbeats, and when a silent AC
// is dead. It has no clock: the session does.
package pulse

import (
	"fmt"
	"time"
)

// Pulse says when a session sends its heartbeats, and when it is dead because
// the AC has answered none for too long.
type Pulse struct {
	heartbeat, silence time.Duration
	seq                uint64 // of the last heartbeat
	beat, dead         time.Time
}

// New begins a session now: the first heartbeat is due at once. heartbeat
// is the time between two of them, above 0, and silence how long an answer may
// be missing.
func New(heartbeat, silence time.Duration, now time.Time) *Pulse {
	return &Pulse{heartbeat: heartbeat, silence: silence, beat: now, dead: now.Add(silence)}
}

// Next is when Tick is to be called next.
func (p *Pulse) Next() time.Time {
	if p.dead.Before(p.beat) {
		return p.dead
	}
	return p.beat
}

// Tick says whether a heartbeat is due, and its number. Its error says that the
// session is dead. Heartbeats that were missed are left out, and the next is
// due when it was before.
func (p *Pulse) Tick(now time.Time) (seq uint64, due bool, err error) {
	switch {
	case !now.Before(p.dead):
		return 0, false, fmt.Errorf("no answer to a heartbeat for %s", p.silence)
	case now.Before(p.beat):
		return 0, false, nil
	}
	missed := now.Sub(p.beat) / p.heartbeat
	p.beat = p.beat.Add((missed + 1) * p.heartbeat)
	p.seq++
	return p.seq, true, nil
}

// Heard takes the AC's answer to a heartbeat. One to a heartbeat that was never
// sent is none.
func (p *Pulse) Heard(seq uint64, now time.Time) {
	if seq > 0 && seq <= p.seq {
		p.dead = now.Add(p.silence)
	}
}
