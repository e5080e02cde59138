package disks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const size = 150 << 20 // sparse; large enough for a copy of the superblock at 128 MiB

// made makes an image with a tool of the system.
func made(t *testing.T, argv ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(argv[0], append(argv[1:], path)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
	return path
}

func probe(t *testing.T, path string) Content {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := Probe(f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestProbe(t *testing.T) {
	sound := Health{Journal: true}
	for _, c := range []struct {
		argv string
		want Content
	}{
		{"mkfs.ext4 -q -L G8OS", Content{Ext4, "G8OS", sound}},
		{"mkfs.ext4 -q -L G8OS -b 4096", Content{Ext4, "G8OS", sound}},
		{"mkfs.ext4 -q -O ^has_journal -L sixteen-letters-", Content{Ext4, "sixteen-letters-", Health{}}},
		{"mkfs.vfat -F 32 -n G8BOOT", Content{Kind: FAT, Label: "G8BOOT"}},
		{"mkfs.vfat -F 16 -n G8BOOT", Content{Kind: FAT, Label: "G8BOOT"}},
		{"mke2fs -q -O journal_dev -L G8OS", Content{}},
		{"true", Content{}},
	} {
		if got := probe(t, made(t, strings.Fields(c.argv)...)); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.argv, got, c.want)
		}
	}
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), "image")
	if out, err := exec.Command("mksquashfs", dir, image, "-quiet", "-no-progress").CombinedOutput(); err != nil {
		t.Fatalf("mksquashfs: %v: %s", err, out)
	}
	if got := probe(t, image); got.Kind != Squashfs {
		t.Errorf("squashfs: %+v", got)
	}
}

// debugfs sets what the kernel would have set.
func TestHealth(t *testing.T) {
	for field, want := range map[string]Health{
		"state 0":              {Journal: true, Unclean: true},
		"state 3":              {Journal: true, Errors: true},
		"feature_incompat 0x6": {Journal: true, Unclean: true},
	} {
		image := made(t, "mkfs.ext4", "-q", "-L", StateLabel)
		if out, err := exec.Command("debugfs", "-w", "-R", "set_super_value "+field, image).CombinedOutput(); err != nil {
			t.Fatalf("debugfs: %v: %s", err, out)
		}
		if got := probe(t, image); got.Ext4 != want || got.Label != StateLabel {
			t.Errorf("%s: %+v, want %+v", field, got, want)
		}
	}
}

// A state disk whose first blocks are gone is known by a copy of its
// superblock, and e2fsck brings it back. Another's is left alone.
func TestADestroyedSuperblock(t *testing.T) {
	for _, blocks := range []string{"1024", "2048", "4096"} {
		image := made(t, "mkfs.ext4", "-q", "-b", blocks, "-L", StateLabel)
		wipe(t, image)
		got := probe(t, image)
		if got.Ext4.Backup == 0 || got.Label != StateLabel {
			t.Errorf("blocks of %s: %+v", blocks, got)
			continue
		}
		if code, said, err := run(t, "-y", image); err != nil || code&^3 != 0 {
			t.Errorf("blocks of %s: e2fsck: code %d, %v: %s", blocks, code, err, said)
		}
		if got := probe(t, image); got.Ext4.Backup != 0 || got.Label != StateLabel {
			t.Errorf("blocks of %s, mended: %+v", blocks, got)
		}
	}
	image := made(t, "mkfs.ext4", "-q", "-b", "1024", "-L", "other")
	wipe(t, image)
	if got := probe(t, image); got.Kind != None {
		t.Errorf("another's: %+v", got)
	}
}

// A disk that was a state disk once and holds something else now is not mended
// into what it was.
func TestADiskThatWasAStateDisk(t *testing.T) {
	for what, now := range map[string]struct {
		at    int64
		bytes string
	}{
		"partitions":               {510, "\x55\xAA"},
		"LUKS":                     {0, "LUKS\xBA\xBE"},
		"LVM":                      {512, "LABELONE"},
		"btrfs":                    {0x10040, "_BHRfS_M"},
		"md":                       {4096, "\xFC\x4E\x2B\xA9"},
		"a copy for another group": {32768<<12 + 0x5A, "\x03"},
		"a copy of something huge": {32768<<12 + 0x04, "\xFF\xFF\xFF\x7F"},
	} {
		image := made(t, "mkfs.ext4", "-q", "-b", "4096", "-L", StateLabel)
		wipe(t, image)
		f, err := os.OpenFile(image, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(now.bytes), now.at); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if got := probe(t, image); got != (Content{}) {
			t.Errorf("%s: %+v, want nothing of ours", what, got)
		}
	}
}

func wipe(t *testing.T, image string) {
	t.Helper()
	f, err := os.OpenFile(image, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, headSize)); err != nil {
		t.Fatal(err)
	}
}

// run is fsck on the program of this machine.
func run(t *testing.T, flag, image string) (int, string, error) {
	t.Helper()
	cmd := exec.Command("fsck.ext4", flag, image)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return 0, "", err
	}
	return cmd.ProcessState.ExitCode(), string(out), nil
}

func TestPick(t *testing.T) {
	state := func(name string, backup int64) Found {
		return Found{name, Content{Ext4, StateLabel, Health{Backup: backup}}}
	}
	all := []Found{{"sda", Content{FAT, MediumLabel, Health{}}}, state("vdaa", 0), state("vda", 4), state("vdc", 0), {"vdb", Content{Kind: Ext4, Label: "G8OS2"}}}
	f, ok, warning := Pick(all, Ext4, StateLabel)
	if f.Name != "vdc" || !ok || warning == nil || !strings.Contains(warning.Error(), "vdc is used, vdaa is not") {
		t.Errorf("%+v, %v, %v", f, ok, warning)
	}
	if f, ok, warning := Pick(all, FAT, MediumLabel); f.Name != "sda" || !ok || warning != nil {
		t.Errorf("%+v, %v, %v", f, ok, warning)
	}
	if _, ok, _ := Pick(all, Squashfs, ""); ok {
		t.Error("found what is not there")
	}
}

func TestWait(t *testing.T) {
	const s = time.Second
	with, without := DefaultWait(true), DefaultWait(false)
	for _, c := range []struct {
		what string
		wait Wait
		seen Seen
		done bool
	}{
		{"a state disk", without, Seen{State: true, Busy: true}, true},
		{"a state disk, and others are just coming", without, Seen{State: true, Busy: true, Near: true}, false},
		{"a state disk and a medium", without, Seen{State: true, Medium: true, Busy: true, Near: true}, true},
		{"a state disk and a medium, another disk is read", without, Seen{State: true, Medium: true, Read: true}, false},
		{"a state disk, another does not answer", without, Seen{Waited: 15 * s, State: true, Read: true}, true},
		{"no state disk yet, one does not answer", without, Seen{Waited: 59 * s, Quiet: 59 * s, Read: true}, false},
		{"no state disk, one does not answer", without, Seen{Waited: 60 * s, Quiet: 60 * s, Read: true}, true},
		{"no state disk wanted", without, Seen{NoDisk: true}, true},
		{"nothing yet", without, Seen{}, false},
		{"quiet for a second", without, Seen{Waited: s, Quiet: s}, true},
		{"quiet, but drivers load", without, Seen{Waited: 5 * s, Quiet: 5 * s, Busy: true}, false},
		{"devices come and come", without, Seen{Waited: 59 * s, Quiet: s / 2}, false},
		{"devices never end", without, Seen{Waited: 60 * s, Busy: true}, true},
		{"a state disk, no medium yet", with, Seen{Waited: 19 * s, Quiet: 19 * s, State: true}, false},
		{"a medium never comes", with, Seen{Waited: 20 * s, Quiet: 20 * s}, true},
		{"both", with, Seen{State: true, Medium: true}, true},
		{"a medium, no disk yet", with, Seen{Waited: s / 2, Quiet: s / 2, Medium: true}, false},
		{"a medium, and a card that is no disk yet", with, Seen{Waited: 3 * s, Quiet: 3 * s, Medium: true, Coming: true}, false},
		{"a card that never is anything", without, Seen{Waited: 10 * s, Quiet: 10 * s, Coming: true}, true},
		{"a state disk, and a card that is nothing", without, Seen{State: true, Coming: true}, true},
	} {
		if got := c.wait.Done(c.seen); got != c.done {
			t.Errorf("%s: done %v", c.what, got)
		}
		if next := c.wait.Next(c.seen); next <= 0 || next > 60*s {
			t.Errorf("%s: next look in %s", c.what, next)
		}
	}
}

// The order of attempts, and what is said, for every health and outcome.
func TestMend(t *testing.T) {
	broken := errors.New("bad magic")
	for _, c := range []struct {
		what        string
		health      Health
		mounts      []error // results of mounting, in turn
		codes       []int   // of e2fsck, in turn
		steps, says string
		ok          bool
	}{
		{"sound", Health{Journal: true}, []error{nil}, nil, "mount", "", true},
		{"power cut", Health{Journal: true, Unclean: true}, []error{nil}, nil, "mount", "", true},
		{"errors, preened", Health{Journal: true, Errors: true}, []error{nil}, []int{1}, "-p mount", "is mended", true},
		{"errors, preening is not enough", Health{Errors: true}, []error{nil}, []int{4, 1}, "-p -y mount", "exit code 4", true},
		{"looks sound and is not", Health{Journal: true}, []error{broken, broken, nil}, []int{0, 1}, "mount -p mount -y mount", "bad magic", true},
		{"copy of the superblock", Health{Backup: 1}, []error{nil}, []int{1}, "-y mount", "is mended", true},
		{"hopeless", Health{Backup: 1}, nil, []int{8}, "-y", "exit code 8", false},
		{"mended and still not mountable", Health{Errors: true}, []error{broken, broken}, []int{1, 1}, "-p mount -y mount", "bad magic", false},
	} {
		var steps []string
		var said bytes.Buffer
		m := &Mender{Log: slog.New(slog.NewTextHandler(&said, nil))}
		m.mount = func(string, string) error {
			steps = append(steps, "mount")
			err := c.mounts[0]
			c.mounts = c.mounts[1:]
			return err
		}
		m.fsck = func(_ context.Context, flag, _ string) (int, string, error) {
			steps = append(steps, flag)
			code := c.codes[0]
			c.codes = c.codes[1:]
			return code, "said something", nil
		}
		err := m.Mount(t.Context(), Found{"vda", Content{Ext4, StateLabel, c.health}}, "/state")
		if got := strings.Join(steps, " "); got != c.steps || (err == nil) != c.ok {
			t.Errorf("%s: %s, %v", c.what, got, err)
		}
		if all := said.String() + fmt.Sprint(err); !strings.Contains(all, c.says) || (!c.ok && !strings.Contains(all, "left as it is")) {
			t.Errorf("%s: says %s", c.what, all)
		}
	}
}

func TestWhatFsckSaysIsBounded(t *testing.T) {
	var out tail
	for i := range 10000 {
		fmt.Fprintf(&out, "block %d is lost\n", i)
	}
	if cap(out) > 4*tailSize || lastLines(string(out), 2) != "block 9998 is lost; block 9999 is lost" {
		t.Errorf("%d bytes: %s", cap(out), lastLines(string(out), 2))
	}
}

func TestACardThatIsNoDeviceYet(t *testing.T) {
	sys := t.TempDir()
	slot := func(name, address, adapter string) {
		dir := filepath.Join(sys, "bus/pci/slots", name)
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "address"), []byte(address+"\n"), 0o644),
			os.WriteFile(filepath.Join(dir, "adapter"), []byte(adapter+"\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if Coming(sys) {
		t.Error("a machine without slots")
	}
	slot("6", "0000:07:00", "0")
	if Coming(sys) {
		t.Error("an empty slot")
	}
	slot("7", "0000:08:00", "1")
	if !Coming(sys) {
		t.Error("a card that is no device yet")
	}
	if err := os.MkdirAll(filepath.Join(sys, "bus/pci/devices/0000:08:00.0"), 0o755); err != nil {
		t.Fatal(err)
	}
	if Coming(sys) {
		t.Error("it is one now")
	}
}

func TestBlocks(t *testing.T) {
	sys := t.TempDir()
	for name, sectors := range map[string]string{"vda": "2048", "vda1": "1024", "sr0": "0", "loop0": "8", "ram0": "8", "cciss!c0d0": "9"} {
		dir := filepath.Join(sys, "class/block", name)
		os.MkdirAll(dir, 0o755)
		os.WriteFile(filepath.Join(dir, "size"), []byte(sectors+"\n"), 0o644)
	}
	if got := fmt.Sprint(Blocks(sys)); got != "[cciss!c0d0 vda vda1]" {
		t.Error(got)
	}
	if got := Blocks(t.TempDir()); got != nil {
		t.Error(got)
	}
	if got := Path("cciss!c0d0"); got != "/dev/cciss/c0d0" {
		t.Error(got)
	}
}
