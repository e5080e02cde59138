package archive

import (
	"fmt"
	"sync/atomic"
	"time"
)

// A meter says now and then how far a download is: plain lines, which a log and
// a terminal both bear.
type meter struct {
	done  atomic.Int64
	total int64
	end   chan struct{}
}

func newMeter(total int64, say func(string)) *meter {
	m := &meter{total: total, end: make(chan struct{})}
	go func() {
		tick := time.NewTicker(3 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-m.end:
				return
			case <-tick.C:
				n := m.done.Load()
				say(fmt.Sprintf("fetched %s of %s (%d %%)", mega(n), mega(m.total), n*100/m.total))
			}
		}
	}()
	return m
}

func (m *meter) add(n int) { m.done.Add(int64(n)) }
func (m *meter) stop()     { close(m.end) }
