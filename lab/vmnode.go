package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab/fabric"
	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/vm"
	"github.com/g8os/g8os/lab/vm/args"
)

// vmBody is a node that is a QEMU machine: the only job of its init, so that
// both lose power together. The init also carries the guest channel, by which
// the lab asks g8os_core and runs commands inside.
type vmBody struct{ *Node }

// handle on the QEMU of a node that has power.
func (b vmBody) vm() (*vm.VM, *machine.Machine, error) {
	m, err := b.lab.machine(b.Name())
	if err != nil {
		return nil, nil, err
	}
	return vm.Open(b.lab.vmDir(b.Name())), m, nil
}

// start lets a held guest go. One that boots by itself later (a reset, a panic)
// is let go again. What a stick boots is not held, and does not speak.
func (b vmBody) start(ctx context.Context, skew time.Duration) error {
	_, m, err := b.vm()
	if err != nil || b.plan.VM.Boot == "usb" {
		return err
	}
	err = m.Release(ctx, machine.Release{Hostname: b.Name(), Skew: skew})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("node %s: its system does not speak (%w); %s shows its console", b.Name(), ctx.Err(), b.lab.say("logs "+b.Name()))
	}
	return err
}

func (b vmBody) core(ctx context.Context) (machine.State, error) {
	if _, _, err := b.vm(); err != nil {
		return machine.State{}, err
	}
	s, err := b.Status(ctx)
	if err != nil {
		return machine.State{Name: coreJob}, nil // held, or between two lives
	}
	return machine.State{Name: coreJob, PID: s.PID, Running: true}, nil
}

// signal is sent from inside, to the process that answers there.
func (b vmBody) signal(ctx context.Context, sig syscall.Signal, wait bool) error {
	s, err := b.Status(ctx)
	if err != nil {
		return err
	}
	r, err := b.Exec(ctx, "kill", "-"+strconv.Itoa(int(sig)), strconv.Itoa(s.PID))
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("signal g8os_core of node %s: %s", b.Name(), strings.TrimSpace(r.Stderr))
	}
	for wait && err == nil {
		if now, asked := b.Status(ctx); asked == nil && now.PID != s.PID || asked != nil && ctx.Err() == nil {
			return nil
		}
		pause(ctx, 20*time.Millisecond)
		err = ctx.Err()
	}
	return err
}

// writeFile writes to the running node's disk, or onto its boot medium: a node
// that is held has looked at neither.
func (b vmBody) writeFile(ctx context.Context, name, text string) error {
	if _, _, err := b.vm(); err != nil {
		return b.writeMedium(map[string]string{name: text})
	}
	if _, err := b.Status(ctx); err != nil {
		return b.writeMediumInPlace(map[string]string{name: text})
	}
	path := "/etc/g8os/" + name
	cmd, err := b.enter([]string{"sh", "-c", `cat >"$0.new" && mv "$0.new" "$0"`, path}, false, func(c *exec.Cmd) {
		c.Stdin, c.Stderr = strings.NewReader(text), os.Stderr
	})
	if err != nil {
		return err
	}
	return cmd.Wait()
}

func (b vmBody) enter(argv []string, tty bool, prepare func(*exec.Cmd)) (*exec.Cmd, error) {
	if _, _, err := b.vm(); err != nil {
		return nil, err
	}
	cmd, err := machine.GuestCommand(b.lab.execSocket(b.Name()), argv, tty)
	if err != nil {
		return nil, err
	}
	prepare(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("in node %s: run %s: %w", b.Name(), argv[0], err)
	}
	return cmd, nil
}

func (b vmBody) setCarrier(ctx context.Context, p fabric.Port, on bool) error {
	v, _, err := b.vm()
	if err != nil {
		return err
	}
	return v.SetLink(ctx, b.number(p), on)
}

func (b vmBody) unplug(ctx context.Context, p fabric.Port) error {
	v, _, err := b.vm()
	if err != nil {
		return err
	}
	in, err := v.HasNIC(ctx, b.number(p))
	if err != nil {
		return err
	}
	if !in {
		return fmt.Errorf("%s is not in; plug puts it back", p.NIC)
	}
	return v.UnplugNIC(ctx, b.number(p))
}

func (b vmBody) plug(ctx context.Context, p fabric.Port) error {
	v, _, err := b.vm()
	if err != nil {
		return err
	}
	in, err := v.HasNIC(ctx, b.number(p))
	if err != nil {
		return err
	}
	if in {
		return fmt.Errorf("%s is in already", p.NIC)
	}
	sw, err := b.lab.fabric(p.Segment)
	if err != nil {
		return err
	}
	tap, err := sw.PlugTap(p)
	if err != nil {
		return err
	}
	if err := v.PlugNIC(ctx, b.number(p), vm.NIC{MAC: p.MAC, Tap: tap}); err != nil {
		return err
	}
	return b.lab.connect(ctx, p.Segment, []fabric.Port{p})
}

// number is the place of a NIC.
func (b vmBody) number(p fabric.Port) int {
	for i, q := range ports(b.plan) {
		if p == q {
			return i
		}
	}
	return -1
}

func (b vmBody) freeze(ctx context.Context, frozen bool) error {
	v, _, err := b.vm()
	if err != nil {
		return err
	}
	if frozen {
		return v.Pause(ctx)
	}
	return v.Resume(ctx)
}

func (b vmBody) frozen(ctx context.Context) bool {
	v, _, err := b.vm()
	return err == nil && v.State(ctx) == vm.Paused
}

func (b vmBody) reset(ctx context.Context) error {
	v, _, err := b.vm()
	if err != nil {
		return err
	}
	return v.Reset(ctx)
}

// console has one seat: QEMU would let a second client wait for ever.
func (b vmBody) console(ctx context.Context) (net.Conn, error) {
	v, _, err := b.vm()
	if err != nil {
		return nil, err
	}
	path := v.Dir().Console()
	seat, err := os.OpenFile(path+".seat", os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(seat.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = seat.Close()
		return nil, fmt.Errorf("console of node %s: somebody else sits there; %s shows what it says", b.Name(), b.lab.say("logs "+b.Name()+" -f"))
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		_ = seat.Close()
		return nil, fmt.Errorf("console of node %s: %w", b.Name(), err)
	}
	return &seated{c, seat}, nil
}

// seated is a console with its seat, which is left with it.
type seated struct {
	net.Conn
	seat *os.File
}

func (s *seated) Close() error { return errors.Join(s.Conn.Close(), s.seat.Close()) }

// vmDir has the sockets of a node's QEMU.
func (l *Lab) vmDir(node string) args.Dir { return args.Dir(l.machineDir(node)) }

// execSocket is where the init of a VM takes commands for the guest.
func (l *Lab) execSocket(node string) string { return filepath.Join(l.machineDir(node), "exec") }
