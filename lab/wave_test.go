package lab

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// crowd counts how many climb at a time.
type crowd struct {
	mu            sync.Mutex
	climbing, top int
	started       []int
}

func (c *crowd) start(_ context.Context, i int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = append(c.started, i)
	c.climbing++
	c.top = max(c.top, c.climbing)
	return nil
}

func (c *crowd) settle(ctx context.Context, _ int, _ func()) {
	pause(ctx, time.Second)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.climbing--
}

func numbers(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

func TestACrowdIsLetGoInWaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, begun := &crowd{}, time.Now()
		if err := inWaves(t.Context(), numbers(10), 4, c.start, c.settle); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("took %s: the last wave was waited for, or an earlier one was not", took)
		}
		slices.Sort(c.started)
		if c.top != 4 || !slices.Equal(c.started, numbers(10)) {
			t.Errorf("%d at a time, started %v", c.top, c.started)
		}
	})
}

// A few are not a crowd: nobody is asked how it gets on.
func TestAFewAreLetGoAtOnce(t *testing.T) {
	asked := func(context.Context, int, func()) { t.Error("waited for one of a few") }
	if err := inWaves(t.Context(), numbers(4), 4, new(crowd).start, asked); err != nil {
		t.Fatal(err)
	}
}

// One whose turn is over makes room, and is seen to its end all the same.
func TestAPlaceIsFreeBeforeItsMachineIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		managed, begun := 0, time.Now()
		err := inWaves(t.Context(), numbers(8), 2, new(crowd).start, func(ctx context.Context, i int, free func()) {
			if i == 0 {
				pause(ctx, time.Second)
				free()
				pause(ctx, time.Second/2)
				free() // again: it had one place
			}
			pause(ctx, time.Second)
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() == nil {
				managed++
			}
		})
		// Two are let go each second, the last two after three, by two that are there
		// then; so is 0. With an even number nobody comes when nobody watches any more.
		if took := time.Since(begun); err != nil || took != 3*time.Second || managed != 6 {
			t.Errorf("took %s, %d managed, %v", took, managed, err)
		}
	})
}

func TestOneThatDoesNotStartHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, broken := &crowd{}, errors.New("broken")
		err := inWaves(t.Context(), numbers(9), 2, func(ctx context.Context, i int) error {
			if i == 1 {
				return broken
			}
			return c.start(ctx, i)
		}, c.settle)
		if !errors.Is(err, broken) || len(c.started) != 8 {
			t.Errorf("%v, started %v", err, c.started)
		}
	})
}

func TestWavesEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		c := &crowd{}
		err := inWaves(ctx, numbers(9), 2, c.start, c.settle)
		if !errors.Is(err, context.DeadlineExceeded) || len(c.started) != 4 {
			t.Errorf("%v, started %v", err, c.started)
		}
	})
}
