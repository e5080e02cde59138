// Package kernel says what kind of kernel a file is, before a machine is made
// to boot it. It reads the header only; it does not prove that it boots.
package kernel

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Check returns why a file cannot be booted as a Linux kernel by an x86-64 PC.
func Check(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("kernel %s: not there; make image-base builds one", path)
	}
	if err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	defer f.Close()
	head := make([]byte, 1024)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("kernel %s: %w", path, err)
	}
	kind := Kind(head[:n])
	if kind != X86 {
		return fmt.Errorf("kernel %s: is %s, not a Linux kernel for x86-64; the lab's machines are PCs (make image-base builds the kernel for them)", path, kind)
	}
	return nil
}

// X86 is the kind of kernel that boots here.
const X86 = "a Linux kernel for x86-64"

// Kind names what a file is by its first kilobyte.
func Kind(head []byte) string {
	at := func(offset int, magic string) bool {
		return len(head) >= offset+len(magic) && string(head[offset:offset+len(magic)]) == magic
	}
	switch {
	// Documentation/arch/x86/boot.rst: the 64-bit entry point is XLF_KERNEL_64.
	case at(0x1fe, "\x55\xaa") && at(0x202, "HdrS") && len(head) > 0x236 && binary.LittleEndian.Uint16(head[0x236:])&1 != 0:
		return X86
	case at(0x1fe, "\x55\xaa") && at(0x202, "HdrS"):
		return "a Linux kernel for 32-bit x86"
	case at(56, "ARMd"): // Documentation/arch/arm64/booting.rst
		return "a Linux kernel for arm64"
	case at(56, "RSC\x05"), at(48, "RISCV"):
		return "a Linux kernel for RISC-V"
	case at(0, "\x1f\x8b"):
		return "gzip-compressed data (a kernel for arm64 often is)"
	case at(0, elf.ELFMAG):
		return elfKind(head)
	case len(bytes.Trim(head, "\x00")) == 0:
		return "empty"
	}
	return "no kernel that is known here"
}

func elfKind(head []byte) string {
	if len(head) < 20 {
		return "a cut-off ELF file"
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if head[elf.EI_DATA] == byte(elf.ELFDATA2MSB) {
		order = binary.BigEndian
	}
	return "an ELF file for " + elf.Machine(order.Uint16(head[18:])).String()
}
