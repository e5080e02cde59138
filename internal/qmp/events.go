package qmp

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// kept is how many events a session remembers for those who wait for one.
const kept = 256

// events is what a session was told, oldest first.
type events struct {
	mu    sync.Mutex
	log   []Event
	first int           // number of the oldest event kept
	more  chan struct{} // closed and replaced when there is news
	ended chan struct{} // closed with the connection
}

func newEvents() *events {
	return &events{more: make(chan struct{}), ended: make(chan struct{})}
}

func (e *events) add(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.log = append(e.log, ev)
	if over := len(e.log) - kept; over > 0 {
		e.log = e.log[over:]
		e.first += over
	}
	close(e.more)
	e.more = make(chan struct{})
}

func (e *events) end() { close(e.ended) }

func (e *events) closed() bool {
	select {
	case <-e.ended:
		return true
	default:
		return false
	}
}

// since returns the events from number n on, the number of the next, and what
// is closed when there is one.
func (e *events) since(n int) ([]Event, int, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := e.first + len(e.log)
	from := min(max(n-e.first, 0), len(e.log))
	return slices.Clone(e.log[from:]), next, e.more
}

// Wait returns the first event of this session that fits, also one that came
// before the call.
func (c *Conn) Wait(ctx context.Context, fits func(Event) bool) (Event, error) {
	for n := 0; ; {
		news, next, more := c.filter.events.since(n)
		for _, ev := range news {
			if fits(ev) {
				return ev, nil
			}
		}
		n = next
		select {
		case <-more:
		case <-c.filter.events.ended:
			if last, _, _ := c.filter.events.since(n); len(last) > 0 {
				continue
			}
			return Event{}, ErrClosed
		case <-ctx.Done():
			return Event{}, fmt.Errorf("QEMU monitor %s: no such event: %w", short(c.path), ctx.Err())
		}
	}
}

// Deleted waits until the guest has let go of a device that device_del named.
func (c *Conn) Deleted(ctx context.Context, id string) error {
	_, err := c.Wait(ctx, func(e Event) bool { return e.Name == "DEVICE_DELETED" && e.Data["device"] == id })
	if err != nil {
		return fmt.Errorf("unplug %s: the guest does not let it go: %w", id, err)
	}
	return nil
}
