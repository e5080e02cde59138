package impair

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab/impair/link"
	"github.com/g8os/g8os/lab/impair/thread"
)

const (
	maxFrame = 2048    // bytes, the tag counted; the tap's MTU keeps within
	maxHeld  = 1 << 15 // frames, 64 MiB
	batch    = 32      // frames that are read before it is looked what is due

	tagged = 18 // bytes of header: two addresses, the tag, the type of what follows
)

// table is the links by tag.
type table [MaxLinks + 1]*link.Link

// pump moves frames. All but run may be called from any goroutine.
type pump struct {
	tap   int // a file that does not block; os.File would make it block
	start time.Time

	mu    sync.Mutex
	links table
	held  queue
	spare [][]byte
	count Stats
}

func newPump(tap int) *pump { return &pump{tap: tap, start: time.Now()} }

// set replaces the table by what f makes of it.
func (p *pump) set(f func(*table) table) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links = f(&p.links)
}

func (p *pump) stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.count
	s.Held = len(p.held.frames)
	return s
}

// run pumps on a punctual thread of its own.
func (p *pump) run() error {
	if err := thread.Punctual(); err != nil {
		return err
	}
	fds := []unix.PollFd{{Fd: int32(p.tap), Events: unix.POLLIN}}
	for {
		wait := p.flush()
		if _, err := unix.Ppoll(fds, wait, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for frames: %w", err)
		}
		if fds[0].Revents&^unix.POLLIN != 0 {
			return errors.New("the tap is gone")
		}
		if err := p.take(); err != nil {
			return err
		}
	}
}

// flush hands back what is due, and says how long nothing will be; nil: until a
// frame comes.
func (p *pump) flush() *unix.Timespec {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.held.frames) > 0 {
		if wait := p.held.frames[0].at - time.Since(p.start); wait > 0 {
			ts := unix.NsecToTimespec(int64(wait))
			return &ts
		}
		f := p.held.pop()
		p.give(f.data)
		p.spare = append(p.spare, f.data[:maxFrame])
	}
	return nil
}

// take reads what the switch has sent, and decides.
func (p *pump) take() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range batch {
		buf := p.buffer()
		n, err := unix.Read(p.tap, buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			p.spare = append(p.spare, buf)
			return nil
		case err != nil:
			return fmt.Errorf("read from the tap: %w", err)
		}
		p.send(buf[:n])
		p.spare = append(p.spare, buf)
	}
	return nil
}

func (p *pump) buffer() []byte {
	n := len(p.spare)
	if n == 0 {
		return make([]byte, maxFrame)
	}
	buf := p.spare[n-1]
	p.spare = p.spare[:n-1]
	return buf
}

// send lets a frame's link decide. What is not of a link, such as what the
// kernel says on a tap of its own, goes nowhere.
func (p *pump) send(frame []byte) {
	if len(frame) < tagged || binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_8021Q {
		return
	}
	l := p.links[min(binary.BigEndian.Uint16(frame[14:])&0xfff, MaxLinks)]
	if l == nil {
		return
	}
	p.count.In++
	now := time.Since(p.start)
	for _, d := range l.Send(len(frame)-4, now) {
		if d.At <= now && !d.Corrupt && len(p.held.frames) == 0 { // or it would overtake what is due
			p.give(frame)
			continue
		}
		if len(p.held.frames) >= maxHeld {
			p.count.Refused++
			continue
		}
		data := append(p.buffer()[:0], frame...)
		d.Flip(data[tagged:])
		p.held.push(held{at: d.At, data: data})
	}
}

func (p *pump) give(frame []byte) {
	if _, err := unix.Write(p.tap, frame); err != nil {
		p.count.Refused++
		return
	}
	p.count.Out++
}
