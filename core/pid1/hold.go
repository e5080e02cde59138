package pid1

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/clock"
	"github.com/g8os/g8os/core/guest"
	"github.com/g8os/g8os/core/pid1/cmdline"
	"github.com/g8os/g8os/core/pid1/modules"
)

// ErrNotHeld is the answer to a "go" that comes without need, or twice.
var ErrNotHeld = errors.New("the machine is not held: it has gone on already")

// minEntropy is what a clone must be given to be itself.
const minEntropy = 32

// gate is what a held machine waits at.
type gate struct {
	mu   sync.Mutex
	held bool
	open chan struct{}
}

func newGate(held bool) *gate {
	g := &gate{held: held, open: make(chan struct{})}
	if !held {
		close(g.open)
	}
	return g
}

func (g *gate) isHeld() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.held }

// pass performs what go means, and opens the gate when that worked.
func (g *gate) pass(perform func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.held {
		return ErrNotHeld
	}
	if err := perform(); err != nil {
		return err
	}
	g.held = false
	close(g.open)
	return nil
}

// become gives a machine what makes it different from the template it was
// copied from. A refused request changes nothing.
func (m *Machine) become(g guest.Go) error {
	if g.Hostname != "" && !cmdline.Hostname(g.Hostname) {
		return fmt.Errorf("go: %.80q is no host name", g.Hostname)
	}
	if n := len(g.Entropy); n < minEntropy || n > 1024 {
		return fmt.Errorf("go: %d bytes of entropy, want %d to 1024", n, minEntropy)
	}
	if err := reseed([]byte(g.Entropy)); err != nil {
		return err
	}
	if !g.Time.IsZero() {
		if err := new(clock.System).Set(settable(g.Time, uptime())); err != nil {
			return err
		}
	}
	if g.Hostname != "" {
		return m.setName(g.Hostname)
	}
	return nil
}

// settable is a time the kernel takes: none before 1970 plus its own uptime.
func settable(t time.Time, up time.Duration) time.Time {
	if earliest := time.Unix(0, 0).Add(up + time.Second); t.Before(earliest) {
		return earliest
	}
	return t
}

// reseed mixes entropy into the kernel's random generator, and makes the
// generator use it now (random(4)).
func reseed(entropy []byte) error {
	f, err := os.OpenFile("/dev/random", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("reseed: %w", err)
	}
	defer f.Close()
	pool := struct { // struct rand_pool_info
		bits, size int32
		buf        [1024]byte
	}{int32(8 * len(entropy)), int32(len(entropy)), [1024]byte{}}
	copy(pool.buf[:], entropy)
	defer clear(pool.buf[:])
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&pool))); errno != 0 {
		return fmt.Errorf("reseed: RNDADDENTROPY: %w", errno)
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.RNDRESEEDCRNG, 0); errno != 0 {
		return fmt.Errorf("reseed: RNDRESEEDCRNG: %w", errno)
	}
	return nil
}

// heldModules are those a clone will need at once: they are loaded before the
// template is made, so that no clone has to.
var heldModules = []string{"virtio_net", "virtio_blk", "virtio_rng", "ext4", "vfat", "nls_cp437", "nls_ascii"}

// hold waits at the gate.
func (m *Machine) hold(ctx context.Context) {
	if !m.Args.Hold {
		return
	}
	select {
	case <-ctx.Done():
	case <-m.gate.open:
	}
	m.Log.Info("go")
}

// serveGuest serves the host of a virtual machine, if that is wanted. A machine
// that is held greets when it has come to rest.
func (m *Machine) serveGuest(ctx context.Context) {
	if !m.Args.Guest && !m.Args.Hold {
		return
	}
	if m.Args.Hold {
		m.load(heldModules...)
		m.rest(ctx)
		m.Log.Info("held: waiting for go on the guest channel")
	}
	err := guest.Serve(ctx, guest.Options{
		Held: m.gate.isHeld, Log: m.Log,
		Go: func(_ context.Context, g guest.Go) error {
			return m.gate.pass(func() error { return m.become(g) })
		},
	})
	m.Log.Error("guest channel", "error", err)
}

// rest waits until all drivers are loaded, the slow ones too.
func (m *Machine) rest(ctx context.Context) {
	if m.hardware == nil {
		return
	}
	m.release()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for m.hardware.Busy(modules.Later) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	m.mark("rest")
}
