// Package probe finds out what a link does to frames: it sends marked ones at
// one end, at an even pace, and says what became of each at the other.
//
//	r, err := probe.Run(ctx, probe.PlanFor(spec), ends)
//	r.Lost, r.Twice, r.Damaged, r.Overtaken, r.Delay, r.Rate
//
// It promises: the frames are of the EtherType for local experiments (IEEE 802,
// 0x88B5) and to the receiver's MAC, so that nobody else takes them for his;
// both ends are timed by one clock (CLOCK_MONOTONIC); what other frames of the
// link do is not counted. It takes about half a second, and as much longer as
// the link makes frames late.
//
// It judges nothing, and what the two ends are is the caller's affair.
package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab/impair/link"
	"github.com/g8os/g8os/lab/impair/thread"
)

// Plan is what is sent.
type Plan struct {
	Frames int
	Size   int           // bytes, header included
	Gap    time.Duration // from one frame to the next
	Wait   time.Duration // for what is late, after the last was sent
	Skip   int           // frames that a rate lets through at once: they are not counted as its
	Twice  bool          // wait for copies, when all frames have arrived
}

const (
	header   = 14
	minSize  = header + 46 // the least that Ethernet knows
	fullSize = 1514
	gap      = 500 * time.Microsecond // a switch whose processor is busy queues a few hundred
	longest  = time.Second            // of sending
	window   = 400 * time.Millisecond // in which a rate is measured
	slack    = 100 * time.Millisecond // of a switch and two ends whose processors are busy
)

// PlanFor is how to find out whether a link is as bad as asked for: a thousand
// frames, so that a processor that was away for a moment does not show, and
// fewer where less would do or a rate is in their way.
func PlanFor(s link.Spec) Plan {
	p := Plan{Frames: 1000, Size: minSize, Gap: gap, Wait: s.Delay + s.Jitter + slack, Twice: s.Duplicate > 0}
	if s.Reorder > 0 {
		p.Wait += max(s.ReorderBy, link.DefaultReorderBy)
	}
	switch {
	case s.Zero():
		p.Frames = 10
	case s.Dead():
		p.Frames = 100
	}
	if s.Rate > 0 { // no queue is to build up
		p.Gap = max(gap, takes(2*minSize, s.Rate))
		p.Frames = max(2, min(p.Frames, int(longest/p.Gap)))
	}
	return p
}

// RatePlan is how to find out what a rate is: twice as much is sent.
func RatePlan(s link.Spec) Plan {
	size := fullSize
	if s.Rate < 5e6 {
		size = 2 * minSize
	}
	p := Plan{Size: size, Gap: takes(size, 2*s.Rate), Skip: link.Burst/size + 2}
	p.Frames = 2*p.Skip + max(10, min(2000, int(window/p.Gap)))
	p.Wait = s.Delay + s.Jitter + slack + time.Duration(p.Frames)*p.Gap
	return p
}

func takes(bytes int, rate int64) time.Duration {
	return time.Duration(float64(bytes) * 8 * float64(time.Second) / float64(rate))
}

// Ends are those of the link.
type Ends struct {
	From, To net.HardwareAddr
	Send     func(frame []byte) error
	Receive  *Socket
}

// Run sends what is planned and returns what became of it.
func Run(ctx context.Context, p Plan, e Ends) (Result, error) {
	m := marker{from: e.From, to: e.To, size: p.Size, run: rand.Uint64()}
	t := newTally(p)
	e.Receive.begin()
	start := time.Now()
	sent, received := make(chan error, 1), make(chan error, 1)
	end := make(chan struct{})
	go func() {
		err := send(ctx, p, m, e.Send, start, t)
		select {
		case <-ctx.Done():
		case <-end:
		case <-time.After(p.Wait):
		}
		e.Receive.stop()
		sent <- err
	}()
	go func() { received <- receive(e.Receive, m, start, t) }()
	err := <-received
	close(end)
	if err = errors.Join(<-sent, err, ctx.Err()); err != nil {
		return Result{}, fmt.Errorf("send %d marked frames from %s to %s: %w", p.Frames, e.From, e.To, err)
	}
	return t.result(), nil
}

// send keeps its pace on a punctual thread of its own, which ends with it.
func send(ctx context.Context, p Plan, m marker, put func([]byte) error, start time.Time, t *tally) error {
	if err := thread.Measuring(); err != nil {
		return err
	}
	frame := make([]byte, m.size)
	for seq := range p.Frames {
		if err := ctx.Err(); err != nil {
			return err
		}
		if wait := time.Duration(seq)*p.Gap - time.Since(start); wait > 0 {
			ts := unix.NsecToTimespec(int64(wait))
			_ = unix.Nanosleep(&ts, nil) // a signal wakes it early, by less than matters
		}
		m.write(frame, uint32(seq))
		t.send(time.Since(start))
		if err := put(frame); err != nil {
			return err
		}
	}
	return nil
}

// receive counts, on such a thread too, until the socket is stopped, or all has come that can.
func receive(s *Socket, m marker, start time.Time, t *tally) error {
	if err := thread.Measuring(); err != nil {
		return err
	}
	buf := make([]byte, 2048)
	for {
		n, err := s.read(buf)
		if errors.Is(err, errStopped) {
			return nil
		}
		if err != nil {
			return err
		}
		if seq, damaged, ok := m.read(buf[:n]); ok {
			t.receive(int(seq), time.Since(start), damaged)
			if t.whole() {
				return nil
			}
		}
	}
}
