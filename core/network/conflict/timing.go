package conflict

import "time"

// Timing holds the constants of RFC 5227, section 1.1.
type Timing struct {
	ProbeWait        time.Duration // PROBE_WAIT: the first probe goes out after a random part of it
	ProbeNum         int           // PROBE_NUM: probes to send
	ProbeMin         time.Duration // PROBE_MIN: shortest time between probes
	ProbeMax         time.Duration // PROBE_MAX: longest time between probes
	AnnounceWait     time.Duration // ANNOUNCE_WAIT: silence needed after the last probe
	AnnounceNum      int           // ANNOUNCE_NUM: announcements to send
	AnnounceInterval time.Duration // ANNOUNCE_INTERVAL: time between them
	DefendInterval   time.Duration // DEFEND_INTERVAL: a second conflict inside it loses the address
	// Repeat is how often an address in use is announced again, about. The RFC
	// leaves it to a host's traffic that a conflict shows; a node that speaks
	// only to its AC may be silent for hours, and two halves of a segment, joined
	// again, would not hear that both have the address. 0: never.
	Repeat time.Duration
}

// RFC5227 is the timing of the RFC: an address is ours after 4 to 7 seconds.
// It is for addresses that nobody handed out, where this is the only guard.
func RFC5227() Timing {
	return Timing{
		ProbeWait: time.Second, ProbeNum: 3,
		ProbeMin: time.Second, ProbeMax: 2 * time.Second,
		AnnounceWait: 2 * time.Second, AnnounceNum: 2, AnnounceInterval: 2 * time.Second,
		DefendInterval: 10 * time.Second,
		Repeat:         30 * time.Second,
	}
}

// Quick takes 450 ms, for an address that an operator or a DHCP server gave
// to this node alone: there the probe is the second guard, against a squatter,
// who is up and answers at once. What it gives away is the patience for a
// switch port that forwards only after seconds and for two lost packets in
// a row; announcing and defending are those of the RFC and catch these later.
func Quick() Timing {
	t := RFC5227()
	t.ProbeWait, t.ProbeNum = 0, 2
	t.ProbeMin, t.ProbeMax = 150*time.Millisecond, 150*time.Millisecond
	t.AnnounceWait = 300 * time.Millisecond
	return t
}
