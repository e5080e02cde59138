// Package engine is virtual time: a heap of what is to happen, in an order that
// depends on nothing but the seed.
//
// It promises that events happen in the order of their times, and those of one
// time in the order in which they were asked for; that the random stream of an
// entity gives the same numbers whatever other entities draw; and that History
// differs when two runs differ in any event that was told apart. One goroutine
// owns an Engine. It knows no network and no node: lab/sim does.
package engine

import "time"

// Engine is a clock with everything that waits for it.
type Engine struct {
	now     time.Duration
	seq     uint64
	heap    []event
	seed    uint64
	history uint64
	events  uint64
}

type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

// New makes an Engine at time zero.
func New(seed uint64) *Engine { return &Engine{seed: seed, history: seed} }

// Now is the time since the start.
func (e *Engine) Now() time.Duration { return e.now }

// Seed is what all streams come from.
func (e *Engine) Seed() uint64 { return e.seed }

// Events is how many events have happened.
func (e *Engine) Events() uint64 { return e.events }

// History is a hash of all that Note was told, and when.
func (e *Engine) History() uint64 { return e.history }

// Note mixes a fact into the history: who (an entity's number), what (a kind
// of its own choice) and a detail.
func (e *Engine) Note(who, what, detail uint64) {
	e.history = mix(e.history^uint64(e.now), who<<8^what)
	e.history = mix(e.history, detail)
}

// NoteText mixes a text into the history.
func (e *Engine) NoteText(who, what uint64, text string) { e.Note(who, what, Hash(text)) }

// mix is the finaliser of splitmix64 over two words.
func mix(a, b uint64) uint64 {
	z := a + (b+1)*0x9e3779b97f4a7c15
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// Hash is FNV-1a (64 bit) of a text.
func Hash(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

// After has do happen when d has passed; a d below zero counts as zero.
func (e *Engine) After(d time.Duration, do func()) { e.At(e.now+max(d, 0), do) }

// At has do happen at a time; one that has passed counts as now.
func (e *Engine) At(at time.Duration, do func()) {
	e.seq++
	e.push(event{max(at, e.now), e.seq, do})
}

// Run lets time pass until end, with everything that happens by then.
func (e *Engine) Run(end time.Duration) {
	for len(e.heap) > 0 && e.heap[0].at <= end {
		e.step()
	}
	e.now = max(e.now, end)
}

func (e *Engine) step() {
	ev := e.pop()
	e.now = ev.at
	e.events++
	ev.do()
}

// The heap has four children a node: half the depth of two, and siblings share
// a cache line.
const arity = 4

func (e *Engine) push(ev event) {
	e.heap = append(e.heap, ev)
	i := len(e.heap) - 1
	for i > 0 {
		up := (i - 1) / arity
		if !before(ev, e.heap[up]) {
			break
		}
		e.heap[i] = e.heap[up]
		i = up
	}
	e.heap[i] = ev
}

func (e *Engine) pop() event {
	top := e.heap[0]
	last := len(e.heap) - 1
	ev := e.heap[last]
	e.heap[last] = event{}
	e.heap = e.heap[:last]
	if last > 0 {
		e.sink(ev)
	}
	return top
}

// sink puts an event at the top and lets it down to where it belongs.
func (e *Engine) sink(ev event) {
	i := 0
	for {
		first := i*arity + 1
		if first >= len(e.heap) {
			break
		}
		least := first
		for c := first + 1; c < min(first+arity, len(e.heap)); c++ {
			if before(e.heap[c], e.heap[least]) {
				least = c
			}
		}
		if !before(e.heap[least], ev) {
			break
		}
		e.heap[i] = e.heap[least]
		i = least
	}
	e.heap[i] = ev
}

func before(a, b event) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }
