package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/g8os/g8os/lab/fabric"
	"github.com/g8os/g8os/lab/image"
	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/topology"
	"github.com/g8os/g8os/lab/vm"
	"github.com/g8os/g8os/lab/vm/args"
	"github.com/g8os/g8os/lab/vm/disk"
	"github.com/g8os/g8os/lab/vm/frozen"
	"github.com/g8os/g8os/lab/vm/kernel"
)

// qemuJob is QEMU among the processes of a VM's init.
const qemuJob = "qemu"

// wholeFile is in the directory of a machine that was put together in full.
const wholeFile = "whole"

var errNoQEMU = errors.New("its QEMU has ended, or was not put together in full")

// stands tells whether a VM whose init runs is a machine: its QEMU may have
// ended since, or its maker before it was put together.
func (b vmBody) stands(ctx context.Context) bool {
	if _, err := os.Stat(filepath.Join(b.lab.machineDir(b.Name()), wholeFile)); err != nil {
		return false
	}
	return vm.Open(b.lab.vmDir(b.Name())).State(ctx) != vm.Off
}

// poweron starts the QEMU of a VM whose init runs: it stands still until its
// cables are in, and waits at the gate then, unless a stick's system boots,
// which has none.
func (b vmBody) poweron(ctx context.Context) error {
	m, err := b.lab.machine(b.Name())
	if err != nil {
		return err
	}
	spec, err := b.spec(ctx)
	if err != nil {
		return err
	}
	defer func() {
		for _, n := range spec.NICs {
			_ = n.Tap.Close() // those that QEMU was not given
		}
	}()
	for _, p := range ports(b.plan) {
		sw, err := b.lab.fabric(p.Segment)
		if err != nil {
			return err
		}
		tap, err := sw.PlugTap(p)
		if err != nil {
			return err
		}
		spec.NICs = append(spec.NICs, vm.NIC{MAC: p.MAC, Tap: tap})
	}
	v, err := vm.Start(ctx, &qemu{m, b.lab.LogDir()}, spec)
	if err != nil {
		return err
	}
	for _, p := range ports(b.plan) {
		if err := b.lab.connect(ctx, p.Segment, []fabric.Port{p}); err != nil {
			return err
		}
	}
	if err := v.Resume(ctx); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.lab.machineDir(b.Name()), wholeFile), nil, 0o644)
}

// spec is the machine without its NICs.
func (b vmBody) spec(ctx context.Context) (vm.Spec, error) {
	l, want := b.lab, b.plan.VM
	img, cache, err := l.imageAndCache()
	if err != nil {
		return vm.Spec{}, err
	}
	verdict, err := l.acceleration(ctx)
	if err != nil {
		return vm.Spec{}, err
	}
	s := vm.Spec{Paused: true, Disks: b.disks(img)}
	if want.Boot == "usb" {
		stick := args.USB{Image: b.file(stickFile), Format: "raw", Serial: "g8os-stick"}
		if want.Firmware == "uefi" {
			stick.Code, stick.Vars = disk.OVMFCode, b.file(varsFile)
		}
		s.Machine = args.Spec{Accel: verdict.Accel, MemoryMiB: want.Memory, CPUs: want.CPUs, USB: &stick}
	} else {
		boot := args.Kernel{Image: img.Kernel(), Initrd: img.Initramfs(), Append: want.Append}
		s.Machine = vm.Machine(verdict.Accel, want.Memory, want.CPUs, boot)
	}
	// A template is made without a TPM, and a chip cannot be plugged in later: a
	// machine that has one boots.
	if b.plan.TPM {
		s.Machine.TPM = l.tpmControl(b.Name())
	} else if s.Machine.Kernel != nil && !want.Cold && !l.st.Cold {
		if s.Template, err = l.template(ctx, cache, s.Machine); err != nil {
			return s, err
		}
		s.Library = frozen.Library(l.st.BinDir)
	}
	s.Machine.Name, s.Machine.Dir, s.Machine.Log = l.Name()+"."+b.Name(), l.vmDir(b.Name()), b.LogPath()
	s.Machine.RTC = now().Add(b.plan.Clock)
	return s, nil
}

// Files of a node's machine, in its data directory.
const (
	mediumFile = "medium.img"
	stickFile  = "stick.img"
	varsFile   = "uefi-vars.fd"
)

// disks are in the order in which the guest counts them.
func (b vmBody) disks(img image.Image) []vm.Disk {
	var all []vm.Disk
	for i := range b.plan.VM.State {
		all = append(all, vm.Disk{Path: b.statePath(i), Format: "qcow2", Serial: fmt.Sprintf("state-%d", i+1)})
	}
	if b.plan.VM.Boot == "kernel" {
		all = append(all, vm.Disk{Path: b.file(mediumFile), Format: "raw", ReadOnly: true, Serial: "medium"})
	}
	if b.plan.VM.Tools {
		all = append(all, vm.Disk{Path: img.Tools(), Format: "raw", ReadOnly: true, Serial: "tools"})
	}
	return all
}

// furnish makes the disks that are not there yet.
func (b vmBody) furnish() error {
	ctx := context.Background()
	if err := os.MkdirAll(b.lab.dataDir(b.Name()), 0o755); err != nil {
		return err
	}
	img, cache, err := b.lab.imageAndCache()
	if err != nil {
		return err
	}
	if b.plan.VM.Boot == "usb" {
		if err := b.furnishStick(ctx, img); err != nil {
			return err
		}
	} else if _, err := os.Stat(b.file(mediumFile)); err != nil {
		if err := b.writeMedium(nil); err != nil {
			return err
		}
	}
	for i, size := range b.plan.VM.State {
		label := ""
		if i == 0 {
			label = disk.StateLabel
		}
		if err := disk.State(ctx, cache, b.statePath(i), size, label); err != nil {
			return err
		}
	}
	return nil
}

func (b vmBody) furnishStick(ctx context.Context, img image.Image) error {
	files, err := b.files()
	if err != nil {
		return err
	}
	if b.plan.VM.Firmware == "uefi" {
		if err := disk.Vars(disk.OVMFVars, b.file(varsFile)); err != nil {
			return err
		}
	}
	return disk.Stick(ctx, img.Stick(), b.file(stickFile), files)
}

// writeMedium makes the boot medium anew, some of its files other than the
// topology has them.
func (b vmBody) writeMedium(other map[string]string) error {
	files, err := b.files()
	if err != nil {
		return err
	}
	for name, text := range other {
		files[name] = []byte(text)
	}
	_, err = disk.WriteMedium(context.Background(), b.file(mediumFile), files)
	return err
}

// writeMediumInPlace is writeMedium while QEMU has the old one open: its guest
// sees the new content.
func (b vmBody) writeMediumInPlace(other map[string]string) error {
	old, err := os.OpenFile(b.file(mediumFile), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer old.Close()
	if err := b.writeMedium(other); err != nil {
		return err
	}
	text, err := os.ReadFile(b.file(mediumFile))
	if err != nil {
		return err
	}
	_, err = old.WriteAt(text, 0)
	return err
}

// file is one of the node's own, which lose no power.
func (b vmBody) file(name string) string { return filepath.Join(b.lab.dataDir(b.Name()), name) }

func (b vmBody) statePath(i int) string { return b.file(fmt.Sprintf("state-%d.qcow2", i+1)) }

// imageAndCache are what the machines of a lab boot, and where they keep what
// machines of all labs share: templates, empty disks, verdicts.
func (l *Lab) imageAndCache() (image.Image, string, error) {
	img, err := image.Open(l.st.ImageDir)
	if err != nil {
		return img, "", err
	}
	cache, err := vm.Cache()
	return img, cache, err
}

// checkMachines refuses what a plan's machines lack, before anything is made,
// and returns where the image is, if any needs one.
func checkMachines(plan *topology.Plan, o Options, binaries string) (dir string, err error) {
	for _, m := range slices.Concat(plan.Nodes, plan.ACs) {
		layers := m.AC != nil && m.AC.Layers
		if !isVM(m) && !layers {
			continue
		}
		img, err := image.Find(o.Image, binaries)
		if err == nil && (layers || m.VM.Tools) {
			err = image.Need(img.Tools())
		}
		if err == nil && isVM(m) {
			err = kernel.Check(img.Kernel())
		}
		if err == nil && isVM(m) && m.VM.Boot == "usb" {
			err = image.Need(img.Stick())
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", m.Name, err)
		}
		dir = img.Dir()
	}
	return dir, nil
}

// qemu starts QEMU as a job of a machine's init.
type qemu struct {
	m    *machine.Machine
	logs string
}

func (q *qemu) log() string { return q.m.Name + ".qemu.log" }

func (q *qemu) Start(ctx context.Context, argv []string) error {
	return q.m.Start(ctx, machine.Job{Name: qemuJob, Argv: argv, Log: q.log()})
}

func (q *qemu) Ended(ctx context.Context) (string, bool) {
	if !q.m.Alive() {
		return "its power was cut", true
	}
	st, ok, err := q.m.Job(ctx, qemuJob)
	if err != nil || !ok || st.Running {
		return "", false
	}
	said, _ := os.ReadFile(filepath.Join(q.logs, q.log()))
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	return fmt.Sprintf("exit code %d: %s", st.Code, lines[len(lines)-1]), true
}

// isVM tells a VM of a plan.
func isVM(m topology.Machine) bool { return m.Fidelity == topology.Virtual }
