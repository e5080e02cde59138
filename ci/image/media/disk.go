package media

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A Disk is what an image is made of; all fields must be set.
type Disk struct {
	UKI       string // file
	Vmlinuz   string // file, for BIOS
	Initramfs string // file, for BIOS
	Cmdline   string
	Tools     string // file: squashfs, the second partition
	Grid      []File // what g8os/ has

	Syslinux string // program
	GptMBR   []byte // syslinux's loader for a GPT disk

	Seed string // the partitions' identities come of it
	When time.Time
}

// sector is the unit of a GPT.
const sector = 512

// first is where the boot partition begins.
const first = mebi

// Make writes the disk image to file.
func (d Disk) Make(ctx context.Context, file string) error {
	fat := file + ".fat"
	defer os.Remove(fat)
	sum := sha256.Sum256([]byte(d.Seed))
	id := uint32(sum[0])<<24 | uint32(sum[1])<<16 | uint32(sum[2])<<8 | uint32(sum[3])
	if err := FAT(ctx, fat, d.files(), id, d.When); err != nil {
		return err
	}
	if err := tool(ctx, d.When, d.Syslinux, "--install", "--directory", "syslinux", fat); err != nil {
		return err
	}
	boot, err := os.Stat(fat)
	if err != nil {
		return err
	}
	tools, err := os.Stat(d.Tools)
	if err != nil {
		return err
	}
	second := first + boot.Size()
	size := second + int64(align(int(tools.Size()), mebi)) + mebi // the GPT's copy is at the end
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	err = errors.Join(f.Truncate(size), copyAt(f, first, fat), copyAt(f, second, d.Tools), f.Close())
	if err != nil {
		return err
	}
	if err := d.partition(ctx, file, sum, boot.Size(), tools.Size()); err != nil {
		return err
	}
	return writeMBR(file, d.GptMBR)
}

func (d Disk) files() []File {
	config := fmt.Sprintf("SERIAL 0 115200\nDEFAULT g8os\nPROMPT 0\nTIMEOUT 0\nLABEL g8os\n  LINUX /boot/vmlinuz\n  INITRD /boot/initramfs\n  APPEND %s\n", d.Cmdline)
	files := []File{
		{Path: "EFI/BOOT/BOOTX64.EFI", From: d.UKI},
		{Path: "boot/vmlinuz", From: d.Vmlinuz},
		{Path: "boot/initramfs", From: d.Initramfs},
		{Path: "syslinux/syslinux.cfg", Text: []byte(config)},
		{Path: "g8os/README.txt", Text: []byte(bootReadme)},
	}
	return append(files, d.Grid...)
}

const bootReadme = `What a node takes from here into /etc/g8os when it boots, if it has changed:

  ca.pem      certificate of the CA that the grid's controllers have theirs from
  net.toml    addresses and controllers; without it DHCP is tried
  hostname    the name of this machine

The tools layer is the second partition. Nothing else is written to this stick.
`

// partition writes the GPT. Partition 1 has the attribute by which BIOS
// loaders find what to boot.
func (d Disk) partition(ctx context.Context, file string, sum [32]byte, boot, tools int64) error {
	end := func(begin, size int64) int64 { return (begin+size+sector-1)/sector - 1 }
	return tool(ctx, d.When, "sgdisk", "--clear", "--set-alignment=1", "--disk-guid="+guid(sum[0:16]),
		fmt.Sprintf("--new=1:%d:%d", first/sector, end(first, boot)), "--typecode=1:EF00", "--change-name=1:"+Label, "--partition-guid=1:"+guid(sum[8:24]), "--attributes=1:set:2",
		fmt.Sprintf("--new=2:%d:%d", (first+boot)/sector, end(first+boot, tools)), "--typecode=2:8300", "--change-name=2:G8TOOLS", "--partition-guid=2:"+guid(sum[16:32]),
		file)
}

// guid makes a random-looking GUID of 16 bytes.
func guid(b []byte) string {
	b = bytes.Clone(b)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16]))
}

// writeMBR puts the loader before the protective partition table.
func writeMBR(file string, loader []byte) error {
	if len(loader) > 440 {
		return fmt.Errorf("the loader for BIOS has %d bytes, 440 is what an MBR has", len(loader))
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(loader, 0)
	return errors.Join(err, f.Sync(), f.Close())
}

func copyAt(to *os.File, at int64, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.NewOffsetWriter(to, at), f)
	return err
}
