package kernel

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// head is a kilobyte with texts at offsets.
func head(texts map[int]string) []byte {
	h := make([]byte, 1024)
	h[1000] = 1
	for at, text := range texts {
		copy(h[at:], text)
	}
	return h
}

func TestKinds(t *testing.T) {
	pc := map[int]string{0x1fe: "\x55\xaa", 0x202: "HdrS"}
	pc64 := head(pc)
	binary.LittleEndian.PutUint16(pc64[0x236:], 1)
	elfARM := head(map[int]string{0: "\x7fELF\x02\x01\x01", 18: "\xb7\x00"})
	for want, h := range map[string][]byte{
		X86:                                pc64,
		"a Linux kernel for 32-bit x86":    head(pc),
		"a Linux kernel for arm64":         head(map[int]string{0: "MZ", 56: "ARMd"}),
		"a Linux kernel for RISC-V":        head(map[int]string{0: "MZ", 56: "RSC\x05"}),
		"an ELF file for EM_AARCH64":       elfARM,
		"a cut-off ELF file":               []byte("\x7fELF"),
		"empty":                            nil,
		"no kernel that is known here":     []byte("#!/bin/sh\n"),
		"gzip-compressed data (a kernel f": []byte("\x1f\x8b\x08"),
	} {
		if got := Kind(h); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCheckSaysWhatToDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vmlinuz")
	if err := Check(path); err == nil || !strings.Contains(err.Error(), "make image-base") {
		t.Errorf("none: %v", err)
	}
	if err := os.WriteFile(path, head(map[int]string{56: "ARMd"}), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Check(path); err == nil || !strings.Contains(err.Error(), "is a Linux kernel for arm64, not a Linux kernel for x86-64") {
		t.Errorf("arm64: %v", err)
	}
}

func FuzzKind(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x02"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if Kind(head) == "" {
			t.Error("says nothing")
		}
	})
}
