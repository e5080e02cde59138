package engine

import (
	"errors"
	"iter"
)

// Proc is a sequence of steps that waits in between, as production code does
// that is written from top to bottom. It runs as a coroutine of the engine's
// goroutine: while it runs nothing else does, so the order stays the engine's.
type Proc struct {
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	done  func()
	ended bool
	dead  bool
}

// errKilled unwinds a Proc that is killed while it waits.
var errKilled = errors.New("killed")

// Go starts a Proc and runs it until it first waits. done, which may be nil, is
// called when it has ended by itself; not when it was killed.
func (e *Engine) Go(body func(*Proc), done func()) *Proc {
	p := &Proc{done: done}
	p.next, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		p.yield = yield
		defer func() {
			p.ended = true
			if r := recover(); r != nil && r != any(errKilled) {
				panic(r)
			}
		}()
		body(p)
	})
	p.resume()
	return p
}

func (p *Proc) resume() {
	if p.ended || p.dead {
		return
	}
	p.next()
	if p.ended && !p.dead && p.done != nil {
		p.done()
	}
}

// Await parks the Proc until the function it is given is called, which may be
// once and from any event; begin is called first and arranges for that. A
// second call does nothing.
func Await[T any](p *Proc, begin func(answer func(T))) T {
	var value T
	answered, waits := false, false
	begin(func(v T) {
		if answered {
			return
		}
		value, answered = v, true
		if waits {
			p.resume()
		}
	})
	for !answered {
		waits = true
		if !p.yield(struct{}{}) {
			panic(errKilled)
		}
	}
	return value
}

// Kill ends the Proc where it waits, as a crash does: nothing after that point
// happens, deferred calls do.
func (p *Proc) Kill() {
	if p.ended || p.dead {
		return
	}
	p.dead = true
	p.stop()
}
