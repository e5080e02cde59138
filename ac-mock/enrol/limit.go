package enrol

import (
	"container/list"
	"net/netip"
	"time"
)

// Limiter counts who asks how often. It is pure but for its own memory, which
// is bounded; callers serialise its use.
type Limiter struct {
	limits  Limits
	sources *recent[bucket]
	records *recent[bucket]
	proofs  *recent[strikes]
}

type bucket struct {
	tokens float64
	at     time.Time
}

type strikes struct {
	n     int
	last  time.Time
	until time.Time
}

// NewLimiter makes a Limiter that has seen nobody.
func NewLimiter(l Limits) *Limiter {
	return &Limiter{
		limits:  l,
		sources: newRecent[bucket](l.MaxTracked), records: newRecent[bucket](l.MaxTracked), proofs: newRecent[strikes](l.MaxTracked),
	}
}

// Source says whether an address may ask now, and counts that it did.
func (l *Limiter) Source(source string, now time.Time) bool {
	return take(l.sources, source, l.limits.SourceRate, l.limits.SourceBurst, now)
}

// Record says whether one node may ask (for anything) now, and counts that it did. Count only
// those who hold the node's device key: others must not use up its share.
func (l *Limiter) Record(id string, now time.Time) bool {
	return take(l.records, id, l.limits.RecordRate, l.limits.RecordBurst, now)
}

// BadProof counts a proof that did not hold, and says whether the node is
// locked because of this one.
func (l *Limiter) BadProof(id string, now time.Time) (locked bool) {
	lock := l.lock()
	s, _ := l.strikes(id, now)
	if now.Sub(s.last) > lock {
		s.n = 0
	}
	s.n, s.last = s.n+1, now
	if s.n >= l.limits.BadProofs && !now.Before(s.until) {
		s.n, s.until, locked = 0, now.Add(lock), true
	}
	l.proofs.put(id, s)
	return locked
}

// Locked says whether a node is locked because of bad proofs.
func (l *Limiter) Locked(id string, now time.Time) bool {
	s, ok := l.strikes(id, now)
	return ok && now.Before(s.until)
}

// strikes are those of a node. Times that a clock left behind which was ahead
// count as now: nobody is locked for longer than a lock is long.
func (l *Limiter) strikes(id string, now time.Time) (strikes, bool) {
	s, ok := l.proofs.get(id)
	if ok && s.last.After(now) {
		s.last = now
		if ends := now.Add(l.lock()); s.until.After(ends) {
			s.until = ends
		}
		l.proofs.put(id, s)
	}
	return s, ok
}

func (l *Limiter) lock() time.Duration { return time.Duration(l.limits.LockSeconds) * time.Second }

// Release ends a lock.
func (l *Limiter) Release(id string) { l.proofs.put(id, strikes{}) }

func take(r *recent[bucket], key string, rate float64, burst int, now time.Time) bool {
	b, ok := r.get(key)
	if !ok {
		b = bucket{tokens: float64(burst), at: now}
	}
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.tokens = min(float64(burst), b.tokens+passed*rate)
	}
	b.at = now
	allowed := b.tokens >= 1
	if allowed {
		b.tokens--
	}
	r.put(key, b)
	return allowed
}

// SourceOf reduces a peer address with port to what is counted as one source:
// an IPv4 address, or an IPv6 /64, which is what one host can have at will.
func SourceOf(peer string) string {
	ap, err := netip.ParseAddrPort(peer)
	if err != nil {
		return peer
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a.String()
	}
	return p.String()
}

// recent is a map that forgets what was used least recently.
type recent[V any] struct {
	most  int
	index map[string]*list.Element
	order *list.List // of *item[V], most recent first
}

type item[V any] struct {
	key   string
	value V
}

func newRecent[V any](most int) *recent[V] {
	return &recent[V]{most: max(most, 1), index: map[string]*list.Element{}, order: list.New()}
}

func (r *recent[V]) get(key string) (v V, ok bool) {
	e, ok := r.index[key]
	if !ok {
		return v, false
	}
	return e.Value.(*item[V]).value, true
}

func (r *recent[V]) put(key string, v V) {
	if e, ok := r.index[key]; ok {
		e.Value.(*item[V]).value = v
		r.order.MoveToFront(e)
		return
	}
	r.index[key] = r.order.PushFront(&item[V]{key: key, value: v})
	if r.order.Len() > r.most {
		last := r.order.Remove(r.order.Back()).(*item[V])
		delete(r.index, last.key)
	}
}
