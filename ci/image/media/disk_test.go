package media

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// toy is a disk of small files; its syslinux marks the file system, for the
// real one is in a package.
func toy(t *testing.T) Disk {
	return Disk{
		UKI: write(t, "uki", "program"), Vmlinuz: write(t, "vmlinuz", "kernel"), Initramfs: write(t, "initramfs", "base"), Cmdline: "console=ttyS0 x=y",
		Tools: write(t, "tools", strings.Repeat("hsqs", 1000)), Grid: []File{{Path: "g8os/ca.pem", Text: []byte("CERT")}},
		Syslinux: write(t, "syslinux", "#!/bin/sh\nexec mcopy -i \"$4\" \"$0\" ::/syslinux/ldlinux.sys\n"), GptMBR: bytes.Repeat([]byte{0xfa}, 440), Seed: "s", When: time.Unix(1700000000, 0),
	}
}

func TestDisk(t *testing.T) {
	d := toy(t)
	file := filepath.Join(t.TempDir(), "g8os.img")
	if err := d.Make(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	mtools := func(args ...string) string {
		out, err := exec.Command(args[0], append([]string{"-i", file + "@@1M"}, args[1:]...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
		return string(out)
	}
	for path, want := range map[string]string{"EFI/BOOT/BOOTX64.EFI": "program", "boot/vmlinuz": "kernel", "g8os/ca.pem": "CERT", "syslinux/syslinux.cfg": "APPEND console=ttyS0 x=y"} {
		if got := mtools("mtype", "::/"+path); !strings.Contains(got, want) {
			t.Errorf("%s has %q, want %q", path, got, want)
		}
	}
	if label := mtools("mlabel", "-s", "::"); !strings.Contains(label, Label) {
		t.Errorf("label: %q", label)
	}
	disk, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(disk, d.GptMBR) || disk[510] != 0x55 || disk[511] != 0xaa || string(disk[512:520]) != "EFI PART" {
		t.Error("no loader, MBR and GPT at the front")
	}
	entry := disk[1024+128:] // the second partition's
	at := (int(entry[32]) | int(entry[33])<<8 | int(entry[34])<<16) * sector
	if !bytes.HasPrefix(disk[at:], []byte("hsqshsqs")) {
		t.Errorf("the tools layer is not at %d, where partition 2 begins", at)
	}
	if bootable := disk[1024+48]; bootable&4 == 0 {
		t.Error("partition 1 does not have the attribute that BIOS loaders look for")
	}
}

func TestSameDiskTwice(t *testing.T) {
	d := toy(t)
	a, b := filepath.Join(t.TempDir(), "a.img"), filepath.Join(t.TempDir(), "b.img")
	for _, file := range []string{a, b} {
		if err := d.Make(t.Context(), file); err != nil {
			t.Fatal(err)
		}
	}
	one, _ := os.ReadFile(a)
	two, _ := os.ReadFile(b)
	if len(one) == 0 || !bytes.Equal(one, two) {
		t.Error("the same disk, made twice, differs")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(a), "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestProgramThatFails(t *testing.T) {
	d := toy(t)
	d.Syslinux = write(t, "syslinux", "#!/bin/sh\necho no room for ldlinux.sys >&2\nexit 1\n")
	file := filepath.Join(t.TempDir(), "x.img")
	if err := d.Make(t.Context(), file); err == nil || !strings.Contains(err.Error(), "no room for ldlinux.sys") {
		t.Errorf("got %v, want what the program said", err)
	}
}
