package decide

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// leases is who has what of a pool.
type leases struct {
	first, last netip.Addr
	slots       []slot           // of the addresses from first on; those beyond were never given
	of          map[string][]int // the slots of each client, in order

	// What is free is looked for from here on: no slot below taken is free
	// before takenUntil.
	taken      int
	takenUntil time.Time
}

// slot is one address: who it is promised to, or that somebody uses it who
// does not have it from here.
type slot struct {
	client   string // hardware address; empty: nobody's
	until    time.Time
	declined bool
}

// never is later than every lease ends.
var never = time.Unix(1<<40, 0)

func newLeases(first, last netip.Addr) *leases {
	return &leases{first: first, last: last, of: map[string][]int{}}
}

// pick returns the address for a client: the one it has or had, else the one
// it asks for, else the first free one. It fails when the pool is exhausted.
func (l *leases) pick(client string, asked netip.Addr, now time.Time) (netip.Addr, bool) {
	if own := l.of[client]; len(own) > 0 {
		return l.at(own[0]), true
	}
	if asked.IsValid() && l.free(asked, client, now) {
		return asked, true
	}
	i := l.unused(now)
	if i > int(number(l.last)-number(l.first)) {
		return netip.Addr{}, false
	}
	return l.at(i), true
}

// unused is the first slot that is free for a client without any.
func (l *leases) unused(now time.Time) int {
	if now.After(l.takenUntil) {
		l.taken, l.takenUntil = 0, never
	}
	for ; l.taken < len(l.slots); l.taken++ {
		s := l.slots[l.taken]
		if s.free("", now) {
			break
		}
		if !s.declined && s.until.Before(l.takenUntil) {
			l.takenUntil = s.until
		}
	}
	return l.taken
}

// free says whether client may have a.
func (l *leases) free(a netip.Addr, client string, now time.Time) bool {
	i, ok := l.index(a)
	return ok && (i >= len(l.slots) || l.slots[i].free(client, now))
}

func (s *slot) free(client string, now time.Time) bool {
	return !s.declined && (s.client == "" || s.client == client || now.After(s.until))
}

func (l *leases) grant(a netip.Addr, client string, until time.Time) {
	i, ok := l.slot(a)
	if !ok {
		return
	}
	l.set(i, slot{client: client, until: until})
	at, _ := slices.BinarySearch(l.of[client], i)
	l.of[client] = slices.Insert(l.of[client], at, i)
	if until.Before(l.takenUntil) {
		l.takenUntil = until
	}
}

func (l *leases) release(a netip.Addr, client string) {
	if i, ok := l.slot(a); ok && l.slots[i].client == client {
		l.set(i, slot{})
		l.taken = min(l.taken, i)
	}
}

// decline takes an address out of the pool for good: somebody uses it.
func (l *leases) decline(a netip.Addr) {
	if i, ok := l.slot(a); ok {
		l.set(i, slot{declined: true})
	}
}

// set replaces a slot; who had it has it no more.
func (l *leases) set(i int, s slot) {
	old := l.slots[i].client
	l.of[old] = slices.DeleteFunc(l.of[old], func(at int) bool { return at == i })
	if len(l.of[old]) == 0 {
		delete(l.of, old)
	}
	l.slots[i] = s
}

// slot is the index of an address of the pool, and makes that there is one.
func (l *leases) slot(a netip.Addr) (int, bool) {
	i, ok := l.index(a)
	for ok && len(l.slots) <= i {
		l.slots = append(l.slots, slot{})
	}
	return i, ok
}

func (l *leases) index(a netip.Addr) (int, bool) {
	if !a.Is4() || a.Less(l.first) || l.last.Less(a) {
		return 0, false
	}
	return int(number(a) - number(l.first)), true
}

// at is the address with an index.
func (l *leases) at(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], number(l.first)+uint32(i))
	return netip.AddrFrom4(b)
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}
