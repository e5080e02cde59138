// Package media puts an image onto what machines boot from: one EFI program
// with kernel, arguments and initramfs in it (a UKI), and a disk image that
// UEFI and BIOS boot.
//
//	LBA 0      protective MBR with syslinux's loader for BIOS
//	LBA 1      GPT
//	1 MiB      G8BOOT: FAT32, EFI system partition
//	             EFI/BOOT/BOOTX64.EFI      the UKI
//	             syslinux/, boot/          the same for BIOS
//	             g8os/                     ca.pem, net.toml, hostname of this grid
//	behind it  G8TOOLS: the tools layer as it is, squashfs
//
// It promises that the same inputs give the same bytes, and that what a
// firmware would not read is refused here. It needs mkfs.vfat, mtools, sgdisk.
package media

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"fmt"
)

// A Section is a part of a UKI.
type Section struct {
	Name string // at most 8 bytes: .linux, .initrd, .cmdline, .osrel, .uname
	Data []byte
}

// Sizes of the PE format.
const (
	sectionHeader = 40
	readableData  = 0x40000040 // IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ
	countAt       = 6          // of sections, behind the signature
	symbolsAt     = 12         // where they are, and how many
	sizeOfImageAt = 24 + 56    // in the optional header of PE32+
	checkSumAt    = 24 + 64
)

// UKI appends sections to systemd's EFI stub.
func UKI(stub []byte, sections []Section) ([]byte, error) {
	f, err := pe.NewFile(bytes.NewReader(stub))
	if err != nil {
		return nil, fmt.Errorf("EFI stub: %w", err)
	}
	head, ok := f.OptionalHeader.(*pe.OptionalHeader64)
	if !ok || f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 {
		return nil, fmt.Errorf("EFI stub is for machine %#x, the image is for x86-64", f.Machine)
	}
	peAt := int(binary.LittleEndian.Uint32(stub[0x3c:]))
	tableAt := peAt + 24 + int(f.SizeOfOptionalHeader)
	next := tableAt + sectionHeader*len(f.Sections)
	if next+sectionHeader*len(sections) > int(head.SizeOfHeaders) {
		return nil, fmt.Errorf("EFI stub has no room for %d more sections in its %d bytes of headers: another version of systemd-boot-efi is needed", len(sections), head.SizeOfHeaders)
	}
	var end, last uint32 // of the image in memory, and in the file
	for _, s := range f.Sections {
		end = max(end, s.VirtualAddress+s.VirtualSize)
		last = max(last, s.Offset+s.Size)
	}
	// What is behind the sections is for debuggers. Between sections it would
	// be a gap, over which signer and firmware need not agree.
	out := bytes.Clone(stub[:min(int(last), len(stub))])
	clear(out[peAt+symbolsAt : peAt+symbolsAt+8])
	for _, s := range sections {
		if len(s.Name) > 8 || len(s.Data) == 0 {
			return nil, fmt.Errorf("section %q of %d bytes cannot be in an EFI program", s.Name, len(s.Data))
		}
		out = append(out, make([]byte, align(len(out), head.FileAlignment)-len(out))...)
		at := uint32(align(int(end), head.SectionAlignment))
		padded := align(len(s.Data), head.FileAlignment)
		entry := out[next : next+sectionHeader]
		clear(entry)
		copy(entry, s.Name)
		for i, v := range []uint32{uint32(len(s.Data)), at, uint32(padded), uint32(len(out))} {
			binary.LittleEndian.PutUint32(entry[8+4*i:], v)
		}
		binary.LittleEndian.PutUint32(entry[36:], readableData)
		out = append(out, s.Data...)
		out = append(out, make([]byte, padded-len(s.Data))...)
		end = at + uint32(len(s.Data))
		next += sectionHeader
	}
	binary.LittleEndian.PutUint16(out[peAt+countAt:], uint16(len(f.Sections)+len(sections)))
	binary.LittleEndian.PutUint32(out[peAt+sizeOfImageAt:], uint32(align(int(end), head.SectionAlignment)))
	binary.LittleEndian.PutUint32(out[peAt+checkSumAt:], 0) // EFI does not look at it
	return out, check(out, sections)
}

// check reads what was written as a firmware would.
func check(uki []byte, sections []Section) error {
	f, err := pe.NewFile(bytes.NewReader(uki))
	if err != nil {
		return fmt.Errorf("the UKI cannot be read back: %w", err)
	}
	for _, want := range sections {
		s := f.Section(want.Name)
		if s == nil {
			return fmt.Errorf("the UKI has no section %s when read back", want.Name)
		}
		data, err := s.Data()
		if err != nil || !bytes.HasPrefix(data, want.Data) {
			return fmt.Errorf("section %s of the UKI is not what was put in: %w", want.Name, err)
		}
	}
	return nil
}

func align(n int, to uint32) int { return (n + int(to) - 1) / int(to) * int(to) }
