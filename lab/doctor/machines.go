package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/g8os/g8os/lab/vm"
	"github.com/g8os/g8os/lab/vm/accel"
	"github.com/g8os/g8os/lab/vm/args"
	"github.com/g8os/g8os/lab/vm/disk"
	"github.com/g8os/g8os/lab/vm/frozen"
	"github.com/g8os/g8os/lab/vm/template"
	"github.com/g8os/g8os/lab/vm/transient"
)

var errNoKernel = errors.New("there is no kernel to boot")

// machineChecks boot virtual machines.
func machineChecks(o Options) []check {
	return []check{
		{"acceleration", false, time.Minute, "make image-base builds a kernel; install qemu-system-x86 (ci/install vm does it)", o.acceleration},
		{"boot", false, 2 * time.Minute, "make image-base builds a kernel; install qemu-system-x86 (ci/install vm does it)", o.boot},
		{"uefi", false, time.Minute, "install ovmf (ci/install vm does it); without it nodes boot through BIOS or a kernel directly", o.uefi},
		{"clone", false, 3 * time.Minute, "make image-base builds what is cloned; without it nodes of fidelity vm are booted one by one (--cold)", o.clone},
	}
}

func (o Options) acceleration(ctx context.Context) (string, error) {
	if o.Kernel == "" {
		return "", errNoKernel
	}
	v, err := accel.Probe(ctx, o.Cache, o.Kernel)
	return v.String(), err
}

// boot shows how long a machine takes to its first program.
func (o Options) boot(ctx context.Context) (string, error) {
	if o.Kernel == "" {
		return "", errNoKernel
	}
	v, err := accel.Probe(ctx, o.Cache, o.Kernel)
	if err != nil {
		return "", err
	}
	took, err := accel.Boot(ctx, v.Accel, o.Kernel, time.Minute)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("a kernel under %s reached userspace after %s", v.Accel, seconds(took)), nil
}

// uefi boots firmware without a disk until it says so.
func (o Options) uefi(ctx context.Context) (string, error) {
	dir, err := os.MkdirTemp("", "g8doctor-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	vars, console := filepath.Join(dir, "vars.fd"), filepath.Join(dir, "console.log")
	if err := disk.Vars(disk.OVMFVars, vars); err != nil {
		return "", err
	}
	if _, err := os.Stat(disk.OVMFCode); err != nil {
		return "", err
	}
	stick := filepath.Join(dir, "empty.qcow2")
	if err := disk.State(ctx, dir, stick, 16, ""); err != nil {
		return "", err
	}
	s := args.Spec{Name: "uefi", Dir: args.Dir(dir), Log: console, Accel: accel.TCG, MemoryMiB: 128, NoChannel: true, Running: true,
		USB: &args.USB{Image: stick, Code: disk.OVMFCode, Vars: vars}}
	begun := time.Now()
	m, err := transient.Start(s.Args())
	if err != nil {
		return "", err
	}
	defer m.Close()
	if err := accel.Await(ctx, m, console, "BdsDxe"); err != nil {
		return "", err
	}
	return "OVMF looked for something to boot after " + seconds(time.Since(begun)), nil
}

// clone makes a template of the image, or finds it, and clones it once.
func (o Options) clone(ctx context.Context) (string, error) {
	if o.Kernel == "" || o.Initrd == "" {
		return "", errors.New("there is no image to boot")
	}
	v, err := accel.Probe(ctx, o.Cache, o.Kernel)
	if err != nil {
		return "", err
	}
	spec := vm.Machine(v.Accel, vm.DefaultMemoryMiB, 1, args.Kernel{Image: o.Kernel, Initrd: o.Initrd})
	t, err := template.Get(ctx, vm.Wanted(o.Cache, o.Programs, spec, func(string, ...any) {}))
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "g8doctor-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	spec.Name, spec.Dir = "clone", args.Dir(dir)
	run := &vm.Transient{}
	defer run.Close()
	begun := time.Now()
	c, err := vm.Start(ctx, run, vm.Spec{Machine: spec, Template: &t, Library: frozen.Library(o.Programs)})
	if err != nil {
		return "", err
	}
	if s := c.State(ctx); s != "running" {
		return "", fmt.Errorf("the clone is %s", s)
	}
	made := "found"
	if t.Made {
		made = "made in " + seconds(t.Took)
	}
	how := "reads its state"
	if t.HasFrozen() && frozen.Library(o.Programs) != "" {
		how = "becomes it, with all that is translated"
	}
	return fmt.Sprintf("template %s; a clone of it %s, and runs after %s", made, how, seconds(time.Since(begun))), nil
}
