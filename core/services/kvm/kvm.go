// Package kvm runs a service that is a virtual machine: a QEMU, with what
// package program promises of programs.
//
// Its serial port is its log, and of a guest that boots from a disk what its
// firmware says is there too: else nobody would see why it does not. It is told to end by its power button, and is
// switched off when it has not within the grace. Whether KVM really works is
// not asked: a /dev/kvm that opens may still hang a guest, and kvm.accel says
// otherwise then.
package kvm

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/services/program"
	"github.com/g8os/g8os/core/services/runtime"
	"github.com/g8os/g8os/core/services/spec"
	"github.com/g8os/g8os/internal/qmp"
)

// binary is QEMU, found as a shell would.
const binary = "qemu-system-x86_64"

// off is how long QEMU itself may take to end, once the guest is given up.
const off = 3 * time.Second

// Machine is one service.
type Machine struct {
	*program.Program // of QEMU
	s                spec.Service
	w                program.Where
}

var _ runtime.Runtime = (*Machine)(nil)

// New returns the runtime of a service. It touches nothing.
func New(s spec.Service, w program.Where) *Machine {
	qemu := s
	qemu.Command = append([]string{binary}, arguments(s, socket(s, w), accel(s))...)
	qemu.Grace, qemu.Signal = off, "TERM"
	return &Machine{program.New(qemu, w), s, w}
}

func socket(s spec.Service, w program.Where) string { return filepath.Join(w.RunDir, s.Name+".qmp") }

// accel is how the guest's instructions are run.
func accel(s spec.Service) string {
	have := "tcg"
	if unix.Access("/dev/kvm", unix.R_OK|unix.W_OK) == nil {
		have = "kvm"
	}
	return cmp.Or(s.KVM.Accel, have)
}

// arguments are QEMU's.
func arguments(s spec.Service, monitor, accel string) []string {
	cpu := map[string]string{"kvm": "host", "tcg": "max"}[accel]
	machine := "q35,accel=" + accel
	if s.KVM.Kernel == "" {
		machine += ",graphics=off" // SeaBIOS speaks on the serial port
	}
	args := []string{
		"-name", s.Name, "-nodefaults", "-no-user-config", "-display", "none", "-machine", machine, "-cpu", cpu,
		"-smp", fmt.Sprint(s.KVM.CPUs), "-m", fmt.Sprint(s.KVM.Memory>>20, "M"), "-device", "virtio-rng-pci",
		"-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial", "-qmp", "unix:" + monitor + ",server=on,wait=off",
	}
	for _, disk := range s.KVM.Disks {
		format := "raw"
		if strings.HasSuffix(disk, ".qcow2") {
			format = "qcow2"
		}
		args = append(args, "-drive", "if=virtio,format="+format+",file="+disk)
	}
	for _, o := range [][2]string{{"-kernel", s.KVM.Kernel}, {"-initrd", s.KVM.Initrd}, {"-append", s.KVM.Append}} {
		if o[1] != "" {
			args = append(args, o[0], o[1])
		}
	}
	return append(args, s.KVM.Args...)
}

// Start switches it on.
func (m *Machine) Start(ctx context.Context) (runtime.Instance, error) {
	if err := os.MkdirAll(m.w.RunDir, 0o755); err != nil {
		return nil, err
	}
	return m.has(m.Program.Start(ctx))
}

// Adopt takes over one that runs.
func (m *Machine) Adopt() (runtime.Instance, error) { return m.has(m.Program.Adopt()) }

func (m *Machine) has(i runtime.Instance, err error) (runtime.Instance, error) {
	if err != nil {
		return nil, err
	}
	return &instance{i, m}, nil
}

// instance is a machine that runs.
type instance struct {
	runtime.Instance
	m *Machine
}

// Stop presses the power button, and switches off what has not ended within the
// grace.
func (i *instance) Stop() error {
	select {
	case <-i.Died():
		return i.Instance.Stop()
	default:
	}
	patience := time.NewTimer(i.m.s.Grace)
	defer patience.Stop()
	if err := i.press(); err != nil {
		i.m.w.Log.Warn("a virtual machine is switched off: its power button cannot be pressed", "service", i.m.s.Name, "error", err)
		return i.Instance.Stop()
	}
	select {
	case <-i.Died():
	case <-patience.C:
		i.m.w.Log.Warn("a virtual machine is switched off: it has not ended by itself", "service", i.m.s.Name, "within", i.m.s.Grace)
	}
	return i.Instance.Stop()
}

func (i *instance) press() error {
	ctx, cancel := context.WithTimeout(context.Background(), i.m.s.Grace)
	defer cancel()
	c, err := qmp.Dial(ctx, socket(i.m.s, i.m.w))
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Run(ctx, "system_powerdown", nil, nil)
}
