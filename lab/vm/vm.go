// Package vm makes virtual machines out of QEMU and holds them: start, plug,
// pause, reset, ask.
//
//	Start:  QEMU stands still ─▶ (clone: reads the template's state)
//	          ─▶ disks and NICs are plugged in ─▶ cont
//	Open:   a handle on one that runs, from any process
//
// It promises: what a machine cannot be is refused before anything starts; a
// clone is plugged together exactly as a booted machine; every question has a
// deadline, and a QEMU that does not answer by then is said to be stalled; the
// file of a tap is QEMU's alone after Start, so the device goes with the
// machine.
//
// It does not supervise: who runs QEMU (a Runner) decides what it dies with,
// and killing that is the power cut. Nor does it speak to the guest.
package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/g8os/g8os/internal/qmp"
	"github.com/g8os/g8os/lab/vm/args"
	"github.com/g8os/g8os/lab/vm/kernel"
	"github.com/g8os/g8os/lab/vm/template"
)

// Runner starts QEMU and knows whether it still runs: a machine of the lab.
type Runner interface {
	Start(ctx context.Context, argv []string) error
	// Ended says how it ended, with what it said, or that it has not.
	Ended(ctx context.Context) (how string, ended bool)
}

// Spec is a machine with all that is in it.
type Spec struct {
	Machine args.Spec
	// Template makes it a clone; its Memory and Incoming are filled in. Nil: it boots.
	Template *template.Template
	// Library lets a clone become its template where that was frozen; "": it reads
	// its state.
	Library string
	Disks   []Disk
	NICs    []NIC
	// Paused leaves it standing still.
	Paused bool
}

// Disk is one of a machine. It is the guest's block device n of its kind.
type Disk struct {
	Path     string
	Format   string // qcow2 | raw
	ReadOnly bool
	Serial   string // what the guest reads as its serial number, at most 20 bytes
}

// NIC is one of a machine, eth0 being the first.
type NIC struct {
	MAC string
	Tap *os.File // Start and PlugNIC close it
	// LinkDown leaves the cable out.
	LinkDown bool
}

// Where things sit: NICs from the first root port on, disks from the last back.
const (
	maxNICs  = 6
	maxDisks = args.Ports - maxNICs
)

// VM is a handle on a running machine.
type VM struct{ dir args.Dir }

// Open is a handle on the machine whose sockets are in a directory.
func Open(dir args.Dir) *VM { return &VM{dir} }

// Dir is where its sockets are.
func (v *VM) Dir() args.Dir { return v.dir }

// Check returns why a machine cannot be, before anything is started.
func (s Spec) Check() error {
	fail := func(err error) error { return fmt.Errorf("virtual machine %s: %w", s.Machine.Name, err) }
	m := s.Machine
	if err := m.Check(); err != nil {
		return err
	}
	if len(s.NICs) > maxNICs || len(s.Disks) > maxDisks {
		return fail(fmt.Errorf("%d NICs and %d disks, at most %d and %d fit", len(s.NICs), len(s.Disks), maxNICs, maxDisks))
	}
	var macs, owner []string
	for i, n := range s.NICs {
		macs, owner = append(macs, n.MAC), append(owner, fmt.Sprintf("%s eth%d", m.Name, i))
	}
	if err := args.CheckMACs(macs, owner); err != nil {
		return fail(err)
	}
	if m.Kernel != nil {
		if err := kernel.Check(m.Kernel.Image); err != nil {
			return fail(err)
		}
	}
	for _, path := range s.files() {
		if _, err := os.Stat(path); err != nil {
			return fail(err)
		}
	}
	return nil
}

// files are those QEMU will open.
func (s Spec) files() []string {
	var all []string
	if k := s.Machine.Kernel; k != nil {
		all = append(all, k.Initrd)
	}
	if u := s.Machine.USB; u != nil {
		all = append(all, u.Image)
		if u.Code != "" {
			all = append(all, u.Code, u.Vars)
		}
	}
	for _, d := range s.Disks {
		all = append(all, d.Path)
	}
	if t := s.Template; t != nil {
		all = append(all, t.Memory(), t.State())
	}
	return all
}

// Start runs a machine. If it fails, stop what the Runner started: a machine
// that came up in part is of no use.
func Start(ctx context.Context, run Runner, s Spec) (*VM, error) {
	defer s.closeTaps()
	if s.Template != nil {
		s.Machine.Memory = args.Memory{File: s.Template.Memory()}
		s.Machine.Incoming = true
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	for _, path := range s.Machine.Dir.Sockets() { // of the machine that was here before
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("virtual machine %s: %w", s.Machine.Name, err)
		}
	}
	v := Open(s.Machine.Dir)
	err := v.run(ctx, run, s)
	if errors.Is(err, errEnded) && s.becomes() { // the image does not fit this host
		s.Library = ""
		err = v.run(ctx, run, s)
	}
	if err != nil {
		return nil, fmt.Errorf("virtual machine %s: %w", s.Machine.Name, err)
	}
	return v, nil
}

func (s Spec) closeTaps() {
	for _, n := range s.NICs {
		if n.Tap != nil {
			_ = n.Tap.Close()
		}
	}
}

// assemble makes a QEMU that stands still the machine it is to be.
func (v *VM) assemble(ctx context.Context, run Runner, s Spec) error {
	mon, err := v.await(ctx, run)
	if err != nil {
		return err
	}
	defer mon.Close()
	if s.Template != nil && !s.becomes() {
		if err := restore(ctx, mon, s.Template.State()); err != nil {
			return fmt.Errorf("%w (template %s)", err, s.Template.Dir)
		}
	}
	for i, d := range s.Disks {
		if err := plugDisk(ctx, mon, i, d); err != nil {
			return err
		}
	}
	for i, n := range s.NICs {
		if err := plugNIC(ctx, mon, i, n); err != nil {
			return err
		}
	}
	if s.Paused {
		return nil
	}
	return mon.Run(ctx, "cont", nil, nil)
}

var errEnded = errors.New("QEMU ended at once")

// await waits until QEMU listens, or has ended.
func (v *VM) await(ctx context.Context, run Runner) (*qmp.Conn, error) {
	for {
		mon, err := qmp.Dial(ctx, v.dir.Commands())
		if err == nil {
			return mon, nil
		}
		if how, ended := run.Ended(ctx); ended {
			return nil, fmt.Errorf("%w: %s", errEnded, how)
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// restore reads the state of a template.
func restore(ctx context.Context, mon *qmp.Conn, state string) error {
	f, err := os.Open(state)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := template.IgnoreShared(ctx, mon); err != nil {
		return err
	}
	if err := mon.Pass(ctx, "state", f); err != nil {
		return err
	}
	if err := mon.Run(ctx, "migrate-incoming", map[string]any{"uri": "fd:state"}, nil); err != nil {
		return err
	}
	if err := template.Migrated(ctx, mon); err != nil {
		return fmt.Errorf("read the template's state: %w", err)
	}
	return nil
}

// do is one short session.
func (v *VM) do(ctx context.Context, action func(mon *qmp.Conn) error) error {
	mon, err := qmp.Dial(ctx, v.dir.Commands())
	if err != nil {
		return err
	}
	defer mon.Close()
	return action(mon)
}

func (v *VM) command(ctx context.Context, name string) error {
	return v.do(ctx, func(mon *qmp.Conn) error { return mon.Run(ctx, name, nil, nil) })
}

// Pause stops the processors; clocks of the guest stand still.
func (v *VM) Pause(ctx context.Context) error { return v.command(ctx, "stop") }

// Resume goes on after Pause, or after a Start that was Paused.
func (v *VM) Resume(ctx context.Context) error { return v.command(ctx, "cont") }

// Reset is the reset button.
func (v *VM) Reset(ctx context.Context) error { return v.command(ctx, "system_reset") }

// Powerdown is the power button: the guest shuts down if it will.
func (v *VM) Powerdown(ctx context.Context) error { return v.command(ctx, "system_powerdown") }

// What State returns beside QEMU's own run states (running, paused, prelaunch,
// shutdown, internal-error, …).
const (
	Off     = "off"     // nothing listens
	Stalled = "stalled" // QEMU does not answer
)

// Paused is QEMU's word for a machine that stands still.
const Paused = "paused"

const stateIn = 3 * time.Second

// State is what the machine does, known within three seconds.
func (v *VM) State(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, stateIn)
	defer cancel()
	var s struct {
		Status string `json:"status"`
	}
	err := v.do(ctx, func(mon *qmp.Conn) error { return mon.Run(ctx, "query-status", nil, &s) })
	switch {
	case err == nil:
		return strings.TrimSpace(s.Status)
	case ctx.Err() != nil:
		return Stalled
	}
	return Off
}
