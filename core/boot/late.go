package boot

import "time"

// A node, or an AC, whose machine has too much to do gets a handshake done, but
// not by the deadline of a machine that has not: all that was computed is lost,
// and computing it again keeps the machine busy. So deadlines grow until one
// is met. Only a handshake that somebody began to answer counts: where nobody
// is, waiting longer would find nobody for longer.

// lateMost is the number of handshakes in a row after which deadlines grow no more.
const lateMost = 3

// wasLate counts the handshake of an effect. Those that ran side by side, with
// one deadline, count once.
func (m *Machine) wasLate(id int) {
	if id <= m.lateID {
		return
	}
	m.lateID = m.lastID
	m.late = min(m.late+1, lateMost)
}

// within is how long an effect gets that takes a handshake: least, and from the
// second one in a row that was late, twice and four times that, up to LateMax. The
// first may be an AC that has just stopped: leaving it must not take longer.
// A session that stood ends it.
func (m *Machine) within(least time.Duration) time.Duration {
	return max(least, min(least<<max(0, m.late-1), m.cfg.Timing.LateMax))
}
