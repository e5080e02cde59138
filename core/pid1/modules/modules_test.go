package modules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"
)

// tree is what depmod would leave for a few modules.
func tree() fstest.MapFS {
	m := fstest.MapFS{
		"modules.dep": {Data: []byte(strings.Join([]string{
			"kernel/net_failover.ko: kernel/failover.ko",
			"kernel/failover.ko:",
			"kernel/virtio_net.ko: kernel/net_failover.ko kernel/failover.ko",
			"kernel/ext4.ko: kernel/mbcache.ko kernel/jbd2.ko",
			"kernel/mbcache.ko:", "kernel/jbd2.ko:", "kernel/crc32c_generic.ko:", "kernel/crc32c-intel.ko:",
			"kernel/e1000e.ko:", "kernel/igb.ko:", "kernel/ahci.ko:",
			"kernel/ring_a.ko:", "kernel/ring_b.ko:",
		}, "\n"))},
		"modules.softdep": {Data: []byte("softdep ext4 pre: crc32c post: ahci\nsoftdep ring_a pre: ring-b\nsoftdep ring_b pre: ring-a\nsoftdep jbd2 pre: nowhere\n")},
		"modules.alias": {Data: []byte(strings.Join([]string{
			"# Aliases extracted from modules themselves.",
			"alias virtio:d00000001v* virtio_net",
			"alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e",
			"alias pci:v00008086d00001521sv*sd*bc*sc*i* igb",
			"alias pci:v*d*sv*sd*bc01sc06i01* ahci",
			"alias crc32c crc32c_generic",
			"alias crc32c crc32c_intel",
			"alias fs-ext4 ext4",
		}, "\n"))},
		"modules.devname": {Data: []byte("# Device nodes\nfuse fuse c10:229\ntun net/tun c10:200\nloop loop-control c10:237\nevil ../evil c1:1\nbtrfs\n")},
	}
	for line := range strings.SplitSeq(string(m["modules.dep"].Data), "\n") {
		file, _, _ := strings.Cut(line, ":")
		m[file] = &fstest.MapFile{Data: []byte(file)}
	}
	return m
}

func TestPlan(t *testing.T) {
	ix, err := ReadIndex(tree())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"virtio-net": "failover net_failover virtio_net",
		"ext4":       "crc32c_generic crc32c_intel jbd2 mbcache ext4",
		"ring_a":     "ring_b ring_a",
		"built_in":   "",
	} {
		var got []string
		for _, f := range ix.Plan(name) {
			got = append(got, Name(f))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
}

func TestResolve(t *testing.T) {
	ix, _ := ReadIndex(tree())
	got, err := ix.Resolve([]string{
		"virtio:d00000001v00001AF4", "pci:v00008086d000010D3sv00008086sd00000000bc02sc00i00",
		"pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01", "fs-ext4", "usb:v1", "crc32c",
	})
	want := "map[crc32c:[crc32c_generic crc32c_intel] fs-ext4:[ext4] pci:v00008086d000010D3sv00008086sd00000000bc02sc00i00:[e1000e]" +
		" pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01:[ahci] virtio:d00000001v00001AF4:[virtio_net]]"
	if fmt.Sprint(got) != want || err != nil {
		t.Errorf("%v, %v\nwant %s", got, err, want)
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "ab", false}, {"*", "", true}, {"", "", true}, {"", "a", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"*b*d", "abcbcd", true}, {"a*b*c", "axbxbxc", true},
		{"[0-9]x", "5x", true}, {"[0-9]x", "ax", false}, {"[!0-9]x", "ax", true}, {"[]a]", "]", true}, {"[abc", "[abc", true},
		{"cpu:type:x86,ven*fam*mod*:feature:*0081*", "cpu:type:x86,ven0002fam000Fmod006B:feature:,0000,0081,", true},
		{"**a", "bba", true}, {"a**", "a", true},
	} {
		if got := match([]byte(c.pattern), c.text); got != c.want {
			t.Errorf("%q over %q: %v", c.pattern, c.text, got)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("[a-", "a")
	f.Add("*[!]*", "]")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		match([]byte(pattern), text) // ends, and stays inside
		if !strings.ContainsAny(pattern, "*?[") && match([]byte(pattern), text) != (pattern == text) {
			t.Errorf("%q over %q", pattern, text)
		}
	})
}

// kernel notes what it is given.
type kernel struct {
	mu     sync.Mutex
	loaded []string
	refuse map[string]error
}

func (k *kernel) insert(f fs.File) error {
	st, _ := f.Stat()
	k.mu.Lock()
	defer k.mu.Unlock()
	name := Name(st.Name())
	k.loaded = append(k.loaded, name)
	return k.refuse[name]
}

func newLoader(t *testing.T, k *kernel) *Loader {
	l, err := NewLoader(tree())
	if err != nil {
		t.Fatal(err)
	}
	l.insert = k.insert
	return l
}

func TestLoadGoesOnAndTriesOnce(t *testing.T) {
	k := &kernel{refuse: map[string]error{"crc32c_intel": unix.ENODEV, "igb": unix.ENOEXEC, "jbd2": unix.EEXIST}}
	l := newLoader(t, k)
	if err := l.Load("ext4", "ext4", "nothing"); err != nil {
		t.Errorf("what a module merely wants failed, and so did the module: %v", err)
	}
	if err := l.Load("igb", "e1000e"); !errors.Is(err, unix.ENOEXEC) || !strings.Contains(err.Error(), "igb") {
		t.Errorf("%v", err)
	}
	k.refuse["failover"], k.refuse["virtio_net"] = unix.ENODEV, unix.ENOENT
	if err := l.Load("virtio_net"); err == nil || !absent(err) {
		t.Errorf("what it needs does not want this machine, and the error is %v", err)
	}
	k.loaded = k.loaded[:len(k.loaded)-3]
	if got := strings.Join(k.loaded, " "); got != "crc32c_generic crc32c_intel jbd2 mbcache ext4 igb e1000e" {
		t.Error(got)
	}
}

func TestHardwareLoadsCardsInTheOrderOfTheBus(t *testing.T) {
	const igb, e1000e, ahci = "pci:v00008086d00001521sv0sd0bc02sc00i00", "pci:v00008086d000010D3sv0sd0bc02sc00i00", "pci:v00008086d00002922sv0sd0bc01sc06i01"
	k := &kernel{refuse: map[string]error{"ahci": unix.ENODEV}}
	var said bytes.Buffer
	h := NewHardware(t.TempDir(), newLoader(t, k), slog.New(slog.NewTextHandler(&said, nil)))
	h.Take(Event{Action: "add", Path: "/devices/pci/0000:00:03.0", Vars: map[string]string{"MODALIAS": igb}})
	h.Take(Event{Action: "add", Path: "/devices/pci/0000:00:02.0", Vars: map[string]string{"MODALIAS": e1000e}})
	h.Take(Event{Action: "add", Path: "/devices/pci/0000:00:01.0", Vars: map[string]string{"MODALIAS": ahci}})
	h.Take(Event{Action: "remove", Path: "/devices/pci/0000:00:04.0", Vars: map[string]string{"MODALIAS": "virtio:d00000001v1"}})
	run(t, h)
	cards := slices.DeleteFunc(k.loaded, func(n string) bool { return n == "ahci" })
	if strings.Join(cards, " ") != "e1000e igb" || said.Len() != 0 {
		t.Errorf("%v; said %s", cards, said.String())
	}
}

func TestScanFindsDevicesWithoutDriver(t *testing.T) {
	sys := t.TempDir()
	put := func(dev, alias string, driver bool) {
		dir, bus := filepath.Join(sys, "devices", dev), filepath.Join(sys, "bus/virtio/devices")
		os.MkdirAll(dir, 0o755)
		os.MkdirAll(bus, 0o755)
		os.Symlink("../../../devices/"+dev, filepath.Join(bus, filepath.Base(dev)))
		os.WriteFile(filepath.Join(dir, "modalias"), []byte(alias+"\n"), 0o644)
		if driver {
			os.Symlink("/nowhere", filepath.Join(dir, "driver"))
		}
	}
	put("pci/b", "virtio:d00000001v00001AF4", false)
	put("pci/a", "fs-ext4", true)
	put("pci/c", "", false)
	k := &kernel{}
	h := NewHardware(sys, newLoader(t, k), slog.New(slog.DiscardHandler))
	h.Scan()
	if !h.Busy(Soon) {
		t.Error("not busy with a device waiting")
	}
	run(t, h)
	if strings.Join(k.loaded, " ") != "failover net_failover virtio_net" {
		t.Error(k.loaded)
	}
	if got := fmt.Sprint(Devices(sys)); got != "[{pci/b virtio:d00000001v00001AF4}]" {
		t.Error(got)
	}
}

// run lets h do all it has to do.
func run(t *testing.T, h *Hardware) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
	for deadline := time.Now().Add(20 * time.Second); h.Busy(Soon); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("still busy")
		}
	}
	cancel()
	<-done
}

func TestClasses(t *testing.T) {
	for alias, want := range map[string]Class{
		"pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01": Soon,
		"pci:v00008086d000010D3sv00008086sd00000000bc02sc00i00": First,
		"pci:v00001B36d0000000Dsv00001AF4sd00001100bc0Csc03i30": Soon,
		"pci:v00001AF4d00001005sv00001AF4sd00000004bc00scFFi00": First,
		"virtio:d00000003v00001AF4":                             First,
		"scsi:t-0x00":                                           Soon,
		"pci:v00008086d00002930sv00001AF4sd00001100bc0Csc05i00": Later, // SMBus
		"pci:v00001234d00001111sv00001AF4sd00001100bc03sc00i00": Later, // a screen
		"cpu:type:x86,ven0002fam000Fmod006B:feature:,0000,":     Later,
		"acpi:PNP0C0C:": Later,
		"pci:":          Later,
		"pci:vbc":       Later,
	} {
		if got := ClassOf(alias); got != want {
			t.Errorf("%s: %v", alias, got)
		}
	}
}

// What can wait is loaded when it is released, and not before what cannot.
func TestWhatCanWaitWaits(t *testing.T) {
	k := &kernel{}
	h := NewHardware(t.TempDir(), newLoader(t, k), slog.New(slog.DiscardHandler))
	h.add(Device{Alias: "crc32c"}, Device{Alias: "virtio:d00000001v00001AF4"})
	run(t, h)
	if got := strings.Join(k.loaded, " "); got != "failover net_failover virtio_net" || !h.Busy(Later) {
		t.Fatalf("%s", got)
	}
	h.Release("igb")
	h.add(Device{Alias: "fs-ext4"}, Device{Alias: "pci:v00008086d000010D3sv0sd0bc02sc00i00"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go h.Run(ctx)
	for deadline := time.Now().Add(20 * time.Second); h.Busy(Later); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("still busy")
		}
	}
	if got := strings.Join(k.loaded, " "); got != "failover net_failover virtio_net e1000e igb crc32c_generic crc32c_intel jbd2 mbcache ext4" {
		t.Error(got)
	}
}

func TestParseEvent(t *testing.T) {
	ev, err := ParseEvent([]byte("add@/devices/pci0000:00/x\x00ACTION=add\x00SUBSYSTEM=block\x00DEVNAME=vda1\x00junk\x00"))
	if err != nil || ev.Action != "add" || ev.Path != "/devices/pci0000:00/x" || ev.Vars["DEVNAME"] != "vda1" {
		t.Errorf("%+v, %v", ev, err)
	}
	for _, bad := range []string{"", "libudev\x00\xfe\xed", "add@relative\x00", "@/x"} {
		if ev, err := ParseEvent([]byte(bad)); err == nil {
			t.Errorf("%q is %+v", bad, ev)
		}
	}
}

func TestNodes(t *testing.T) {
	nodes := Nodes(tree())
	if fmt.Sprint(nodes) != "[{fuse false 10 229} {net/tun false 10 200} {loop-control false 10 237}]" {
		t.Error(nodes)
	}
	if os.Geteuid() != 0 {
		return
	}
	dev := t.TempDir()
	for range 2 {
		err := Make(dev, nodes)
		if errors.Is(err, fs.ErrPermission) {
			t.Skip(err) // a container without the right to make device files
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if st, err := os.Stat(filepath.Join(dev, "net/tun")); err != nil || st.Mode()&os.ModeCharDevice == 0 {
		t.Error(st, err)
	}
}
