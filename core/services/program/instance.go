package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/g8os/g8os/core/process"
	"github.com/g8os/g8os/core/services/order"
	"github.com/g8os/g8os/core/services/ready"
	"github.com/g8os/g8os/core/services/runtime"
)

// instance is a program that runs.
type instance struct {
	p       *Program
	process *process.Process
	socket  *net.UnixConn // that it says on that it is ready; nil: it does not
	once    sync.Once
	memory  atomic.Bool // it was killed for wanting too much of it
}

func (i *instance) close() {
	if i.socket != nil {
		i.once.Do(func() { i.socket.Close() })
	}
}

// PID is that of the program itself, not of the shim beside it; 0: it has not
// begun.
func (i *instance) PID() int {
	shim := i.process.ID().PID
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", shim, shim))
	if err != nil {
		return shim // this kernel does not tell
	}
	pid := 0
	_, _ = fmt.Sscan(string(raw), &pid)
	return pid
}

func (i *instance) Died() <-chan struct{} { return i.process.Died() }

func (i *instance) Exit() order.Exit {
	x := runtime.ExitOf(i.process.Err())
	if i.memory.Load() {
		x.Why = i.p.tooMuch() + ": " + x.Why
	}
	return x
}

// Stop ends it: the signal to the group, and KILL to all that stay.
func (i *instance) Stop() error {
	defer i.close()
	err := i.process.Stop(context.Background())
	if g := i.p.group(); g != nil {
		if g.OutOfMemory() { // with the group goes who knows
			i.memory.Store(true)
		}
		err = errors.Join(err, g.Remove())
	}
	return err
}

// Ready waits as the declaration says.
func (i *instance) Ready(ctx context.Context) error {
	defer i.close()
	if i.p.s.Ready.Notify {
		return i.notified(ctx)
	}
	return ready.Wait(ctx, i.p.s.Ready, ready.Service{Died: i.Died(), Err: i.process.Err, Lines: i.process.Lines})
}

// listen opens the socket of sd_notify(3).
func listen(path string, who *syscall.Credential) (*net.UnixConn, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("socket to say ready on: %w", err)
	}
	if who != nil {
		err = os.Chown(path, int(who.Uid), int(who.Gid))
	}
	return c, err
}

// notified waits for READY=1.
func (i *instance) notified(ctx context.Context) error {
	if i.socket == nil {
		return errors.New("there is no socket for it to say so on")
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-i.Died():
		case <-ctx.Done():
		case <-stop:
		}
		_ = i.socket.SetReadDeadline(time.Unix(1, 0))
	}()
	message := make([]byte, 4096)
	for {
		n, err := i.socket.Read(message)
		if err != nil {
			return errors.Join(err, i.process.Err(), ctx.Err())
		}
		for line := range bytes.Lines(message[:n]) {
			if string(bytes.TrimSpace(line)) == "READY=1" {
				return nil
			}
		}
	}
}
