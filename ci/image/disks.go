package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/g8os/g8os/ci/image/media"
)

// cmdline is what a kernel is told that was started from a disk of ours: both
// consoles, that there is a boot medium to wait for, and to boot again half a
// minute after a panic.
const cmdline = "console=tty0 console=ttyS0,115200 quiet g8os.medium panic=30"

// maxDisk is how large the image for a stick may be.
const maxDisk = 700 << 20

// disks writes what machines boot from by themselves: g8os.img, g8os.qcow2,
// the EFI program alone, and the tools layer for an AC to hand out.
func (b *Build) disks(ctx context.Context, stage, tools string) error {
	load, err := b.loaders(ctx)
	if err != nil {
		return err
	}
	in := func(name string) string { return filepath.Join(stage, name) }
	arguments := strings.TrimSpace(cmdline + " " + b.Grid.Cmdline)
	if err := b.uki(in("g8os.efi"), stage, load, arguments); err != nil {
		return err
	}
	if err := b.sign(ctx, in("g8os.efi")); err != nil {
		return err
	}
	if err := copyTo(in("tools.squashfs"), tools); err != nil {
		return err
	}
	gptMBR, err := os.ReadFile(load.gptMBR())
	if err != nil {
		return err
	}
	grid, err := b.Grid.files()
	if err != nil {
		return err
	}
	b.Say("disk: g8os.img and g8os.qcow2")
	d := media.Disk{
		UKI: in("g8os.efi"), Vmlinuz: in("vmlinuz"), Initramfs: in("initramfs"), Cmdline: arguments, Tools: tools, Grid: grid,
		Syslinux: load.syslinux(), GptMBR: gptMBR, Seed: b.imageID(), When: b.lock.Resolved,
	}
	if err := d.Make(ctx, in("g8os.img")); err != nil {
		return err
	}
	if info, err := os.Stat(in("g8os.img")); err != nil || info.Size() > maxDisk {
		return fmt.Errorf("g8os.img has %s, the most is %s: take something out of ci/image/recipe (%w)", mebi(info.Size()), mebi(maxDisk), err)
	}
	out, err := exec.CommandContext(ctx, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", in("g8os.img"), in("g8os.qcow2")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("qemu-img convert: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return b.manifest(ctx, stage)
}

// uki writes the EFI program with kernel, arguments and initramfs in it.
func (b *Build) uki(file, stage string, load loaders, arguments string) error {
	stub, err := os.ReadFile(load.stub())
	if err != nil {
		return err
	}
	vmlinuz, err := os.ReadFile(filepath.Join(stage, "vmlinuz"))
	if err != nil {
		return err
	}
	initramfs, err := os.ReadFile(filepath.Join(stage, "initramfs"))
	if err != nil {
		return err
	}
	kernel, err := b.kernelPackage()
	if err != nil {
		return err
	}
	release := fmt.Sprintf("ID=g8os\nNAME=G8OS\nPRETTY_NAME=\"G8OS %s\"\nVERSION_ID=%s\n", b.Version, b.Version)
	program, err := media.UKI(stub, []media.Section{
		{Name: ".osrel", Data: []byte(release)},
		{Name: ".cmdline", Data: []byte(arguments)},
		{Name: ".uname", Data: []byte(kernelVersion(kernel))},
		{Name: ".linux", Data: vmlinuz},
		{Name: ".initrd", Data: initramfs},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(file, program, 0o644)
}
