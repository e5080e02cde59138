package template

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/guest"
	"github.com/g8os/g8os/internal/qmp"
	"github.com/g8os/g8os/lab/vm/args"
	"github.com/g8os/g8os/lab/vm/frozen"
	"github.com/g8os/g8os/lab/vm/kernel"
	"github.com/g8os/g8os/lab/vm/transient"
)

// longestSocket is what the kernel takes as the path of a unix socket
// (sun_path), less what the names of sockets differ by.
const longestSocket = 96

// making begins the name of the directory this template is made in.
func (t Template) making() string { return ".making-" + filepath.Base(t.Dir) + "-" }

// sweep removes what makers of this template left that were killed: whoever
// holds its lock is the only one.
func (t Template) sweep(cache string) {
	left, _ := filepath.Glob(filepath.Join(cache, t.making()+"*"))
	for _, path := range left {
		_ = os.RemoveAll(path)
	}
}

// make boots the machine aside and moves what is left of it into the cache.
func (t Template) make(ctx context.Context, o Options) (err error) {
	if err := kernel.Check(o.Spec.Kernel.Image); err != nil {
		return err
	}
	t.sweep(o.Cache)
	aside, err := os.MkdirTemp(o.Cache, t.making()+"*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	sockets := aside
	if len(args.Dir(aside).Commands()) > longestSocket {
		if sockets, err = os.MkdirTemp("", "g8vm-"); err != nil {
			return err
		}
		defer os.RemoveAll(sockets)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	o.Say("booting a machine once, to clone the others from (%d MiB, %s)", o.Spec.MemoryMiB, o.Spec.Accel)
	half := Template{Dir: aside, Key: t.Key}
	if err := half.boot(ctx, o, args.Dir(sockets)); err != nil {
		return err
	}
	for _, path := range append(args.Dir(aside).Sockets(), half.Console()) {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := half.seal(); err != nil {
		return err
	}
	if err := os.RemoveAll(t.Dir); err != nil {
		return err
	}
	return os.Rename(aside, t.Dir)
}

// boot runs the machine up to the gate and writes it down.
func (t Template) boot(ctx context.Context, o Options, dir args.Dir) (err error) {
	s := o.Spec
	s.Name, s.Dir, s.Incoming, s.NoReboot = "template", dir, false, true
	s.Log = t.Console()
	s.Memory = args.Memory{File: t.Memory(), Shared: true}
	if err := s.Check(); err != nil {
		return err
	}
	if err := room(t.Dir, o.size()); err != nil {
		return err
	}
	argv := s.Args()
	if o.Library != "" {
		s.TranslationMiB = args.SharedTranslationMiB
		argv = frozen.Recording(o.Library, t.Frozen(), s.Args())
	}
	vm, err := transient.Start(argv)
	if err != nil {
		return err
	}
	defer vm.Close()
	defer func() {
		if err != nil {
			err = errors.Join(err, vm.Err(), lastLines(s.Log))
		}
	}()
	mon, err := monitor(ctx, vm, s.Dir.Commands())
	if err != nil {
		return err
	}
	defer func() { _ = mon.Close() }()
	if err := mon.Run(ctx, "cont", nil, nil); err != nil {
		return err
	}
	if err := t.warm(ctx, vm, mon, s, o); err != nil {
		return err
	}
	settle(ctx, vm.PID())
	if err := mon.Run(ctx, "stop", nil, nil); err != nil {
		return err
	}
	if o.Library != "" {
		if mon, err = t.freeze(ctx, vm, mon, s, o); err != nil {
			return err
		}
	}
	return t.write(ctx, mon)
}

// freeze has the process written down. Clones can do without.
func (t Template) freeze(ctx context.Context, vm *transient.VM, mon *qmp.Conn, s args.Spec, o Options) (*qmp.Conn, error) {
	// A clone reboots, where the template ends.
	if err := mon.Run(ctx, "set-action", map[string]any{"reboot": "reset"}, nil); err != nil {
		return mon, err
	}
	_ = mon.Close() // nobody is connected to what is written down
	if err := frozen.Write(ctx, vm.PID(), t.Frozen()); err != nil {
		o.Say("clones will translate their code themselves: %v", err)
	}
	return monitor(ctx, vm, s.Dir.Commands())
}

// monitor waits until QEMU listens.
func monitor(ctx context.Context, vm *transient.VM, path string) (*qmp.Conn, error) {
	for {
		mon, err := qmp.Dial(ctx, path)
		if err == nil {
			return mon, nil
		}
		select {
		case <-vm.Ended():
			return nil, errors.New("QEMU did not start")
		case <-ctx.Done():
			return nil, err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// warm waits until the guest is at the gate, has it do what every clone would
// otherwise do again, and leaves the channel as if nobody had been there.
func (t Template) warm(ctx context.Context, vm *transient.VM, mon *qmp.Conn, s args.Spec, o Options) error {
	fail := func(err error) error {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = ctx.Err() // what broke off with it is no news
		}
		return fmt.Errorf("the guest did not come to the gate: %w", err)
	}
	// A machine that panics ends: the wait with it.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-vm.Ended():
			cancel()
		case <-ctx.Done():
		}
	}()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", s.Dir.Channel())
	if err != nil {
		return fail(err)
	}
	g, err := guest.Connect(ctx, c)
	if err != nil {
		return fail(err)
	}
	defer g.Close()
	if !g.Held() {
		return fail(errors.New("it went on without waiting (is g8os.hold on its command line?)"))
	}
	if err := rehearse(ctx, Stage{PID: vm.PID(), Dir: filepath.Join(t.Dir, "rehearsal"), Monitor: mon, Guest: g}, o); err != nil {
		return err
	}
	if s.Warm == "" {
		return nil
	}
	var said bytes.Buffer
	exit, err := g.Exec(ctx, guest.Command{Argv: []string{"sh", "-c", s.Warm}}, guest.Stdio{Out: &said, Err: &said})
	if err != nil {
		return fmt.Errorf("the guest at the gate: %w", errors.Join(err, ctx.Err(), vm.Err()))
	}
	if exit != (guest.Exit{}) { // clones are slower, no less
		o.Say("the guest could not do all there is to do before the gate: %.200q", said.String())
	}
	return nil
}

// settle waits until the guest has nothing to do, at most a few seconds: what
// it does afterwards every clone would do again.
func settle(ctx context.Context, pid int) {
	const step, idle = 200 * time.Millisecond, 20 * time.Millisecond
	last := cpuTime(pid)
	for range 15 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(step):
		}
		now := cpuTime(pid)
		if now-last <= idle {
			return
		}
		last = now
	}
}

// cpuTime is what a process used so far, in steps of 10 ms.
func cpuTime(pid int) time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	var user, system int64
	_, _ = fmt.Sscan(f[11]+" "+f[12], &user, &system)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// room refuses to start what would fill the disk: QEMU dies by SIGBUS then.
func room(dir string, want int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < want {
		return fmt.Errorf("%s: %d MiB are free, a template of this machine takes up to %d; make room, or set XDG_CACHE_HOME to a larger file system", dir, free>>20, want>>20)
	}
	return nil
}

// lastLines is the end of a console as an error, for the report.
func lastLines(path string) error {
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return errors.New("its console said nothing")
	}
	lines := strings.Split(strings.TrimSpace(transient.Plain(string(text))), "\n")
	end := lines[max(0, len(lines)-8):]
	for i, line := range lines { // what comes after it are registers
		if strings.Contains(line, "Kernel panic") {
			end = lines[max(0, i-2) : i+1]
			break
		}
	}
	return fmt.Errorf("the end of its console:\n%s", strings.Join(end, "\n"))
}
