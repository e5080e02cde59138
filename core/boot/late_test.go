package boot

import (
	"testing"
	"time"
)

func TestDeadlinesGrowWhereHandshakesAreLate(t *testing.T) {
	m := New(Config{Timing: DefaultTiming()})
	m.lastID = 2
	for i, want := range []time.Duration{2 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} {
		if got := m.within(2 * time.Second); got != want {
			t.Errorf("after %d late ones: %s, want %s", i, got, want)
		}
		m.wasLate(m.lastID)
		m.wasLate(m.lastID - 1) // ran beside it
		m.lastID += 2
	}
	if got := m.within(10 * time.Second); got != 20*time.Second {
		t.Errorf("%s: over the bound", got)
	}
	if got := m.within(30 * time.Second); got != 30*time.Second {
		t.Errorf("%s: less than it was", got)
	}
}
