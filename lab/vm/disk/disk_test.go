package disk

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func output(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
	return string(out)
}

func TestStateDisksShareABaseAndStay(t *testing.T) {
	cache, dir := t.TempDir(), t.TempDir()
	one, two := filepath.Join(dir, "1.qcow2"), filepath.Join(dir, "2.qcow2")
	for _, path := range []string{one, two} {
		if err := State(t.Context(), cache, path, 64, StateLabel); err != nil {
			t.Fatal(err)
		}
	}
	bases, _ := os.ReadDir(cache)
	if len(bases) != 1 {
		t.Errorf("%d bases in the cache, want one", len(bases))
	}
	raw := filepath.Join(dir, "raw")
	output(t, "qemu-img", "convert", "-O", "raw", one, raw)
	if label := strings.TrimSpace(output(t, "blkid", "-p", "-s", "LABEL", "-o", "value", raw)); label != "G8OS" {
		t.Errorf("label %q", label)
	}
	output(t, "e2fsck", "-fn", raw)

	before, _ := os.Stat(two)
	if err := State(t.Context(), cache, two, 128, StateLabel); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(two); !os.SameFile(before, after) {
		t.Error("a node's disk was made anew")
	}
	if err := State(t.Context(), cache, filepath.Join(dir, "3"), 1, StateLabel); err == nil || !strings.Contains(err.Error(), "at least 16") {
		t.Errorf("a disk of 1 MiB: %v", err)
	}
}

func TestMediumSaysWhatItShouldAndIsWrittenOnlyThen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "medium.img")
	steps := []struct {
		m       Medium
		changed bool
	}{
		{Medium{"ca.pem": []byte("one"), "hostname": []byte("n1\n")}, true},
		{Medium{"ca.pem": []byte("one"), "hostname": []byte("n1\n")}, false},
		{Medium{"ca.pem": []byte("two"), "hostname": []byte("n1\n")}, true},
		{Medium{"ca.pem": []byte("two")}, true},
	}
	for i, s := range steps {
		changed, err := WriteMedium(t.Context(), path, s.m)
		if err != nil || changed != s.changed {
			t.Fatalf("step %d: changed %v, %v", i, changed, err)
		}
		var names []string
		for name, text := range s.m {
			names = append(names, name)
			if got := output(t, "mtype", "-i", path, "::g8os/"+name); got != string(text) {
				t.Errorf("step %d: %s says %q", i, name, got)
			}
		}
		slices.Sort(names)
		if got := strings.Fields(output(t, "mdir", "-b", "-i", path, "::g8os/")); len(got) != len(names) {
			t.Errorf("step %d: on it are %v, want %v", i, got, names)
		}
	}
	if label := strings.TrimSpace(output(t, "blkid", "-p", "-s", "LABEL", "-o", "value", path)); label != "G8BOOT" {
		t.Errorf("label %q", label)
	}
}

func TestNothingIsLeftWhenTheDiskIsFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("mounts take root: ", err)
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	cases := map[string]func() error{
		"medium": func() error { _, err := WriteMedium(t.Context(), filepath.Join(dir, "m"), Medium{}); return err },
		"state":  func() error { return State(t.Context(), dir, filepath.Join(dir, "s"), 512, StateLabel) },
	}
	for name, make := range cases {
		if err := make(); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestStickHasTheFilesOnItsFirstPartition(t *testing.T) {
	dir := t.TempDir()
	image, stick := filepath.Join(dir, "g8os.img"), filepath.Join(dir, "stick")
	if err := os.WriteFile(image, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 40<<20); err != nil {
		t.Fatal(err)
	}
	if err := Stick(t.Context(), image, stick, nil); err == nil || !strings.Contains(err.Error(), "no GUID partition table") {
		t.Errorf("an empty image: %v", err)
	}
	output(t, "sgdisk", "-n", "1:2048:+32M", image)
	output(t, "mformat", "-i", image+"@@1M", "-T", "65536", "-h", "64", "-s", "32", "::")
	if err := Stick(t.Context(), image, stick, Medium{"ca.pem": []byte("pem")}); err != nil {
		t.Fatal(err)
	}
	if got := output(t, "mtype", "-i", stick+"@@1M", "::g8os/ca.pem"); got != "pem" {
		t.Errorf("ca.pem says %q", got)
	}
	if err := Stick(t.Context(), filepath.Join(dir, "none"), filepath.Join(dir, "u"), nil); err == nil || !strings.Contains(err.Error(), "make image") {
		t.Error(err)
	}
}

func TestVarsSayWhereTheyComeFrom(t *testing.T) {
	dir := t.TempDir()
	if err := Vars(filepath.Join(dir, "VARS.fd"), filepath.Join(dir, "v")); err == nil || !strings.Contains(err.Error(), "ovmf") {
		t.Error(err)
	}
}

// A damaged disk is not handed to QEMU, and not replaced behind one's back.
func TestADamagedStateDiskIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.qcow2")
	if err := os.WriteFile(path, []byte("garbage"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := State(t.Context(), t.TempDir(), path, 64, StateLabel)
	if err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("got %v", err)
	}
}
