package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/guest"
	"github.com/g8os/g8os/lab/image"
	"github.com/g8os/g8os/lab/vm/accel"
	"github.com/g8os/g8os/lab/vm/args"
	"github.com/g8os/g8os/lab/vm/frozen"
	"github.com/g8os/g8os/lab/vm/template"
)

// maxCloneMiB is what a clone that waits at the gate may cost beside what all
// share: the pages that it wrote. One that translates for itself costs some 60.
const maxCloneMiB = 40

// slow bounds what a busy machine may take to boot a guest under TCG.
const slow = 4 * time.Minute

// node is the image as the lab boots it.
func node(t *testing.T) args.Spec {
	t.Helper()
	img, err := image.Find("", ".")
	if err != nil {
		t.Skip(err)
	}
	return Machine(accel.TCG, DefaultMemoryMiB, 1, args.Kernel{Image: img.Kernel(), Initrd: img.Initramfs()})
}

// programs is where make build leaves them.
const programs = "../../bin"

func library(t *testing.T) string {
	t.Helper()
	path := frozen.Library(programs)
	if path == "" {
		t.Fatalf("no %s in %s: make build makes it", frozen.Name, programs)
	}
	return path
}

// cached is the template that labs have too.
func cached(t *testing.T, base args.Spec) template.Template {
	t.Helper()
	cache, err := Cache()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), slow)
	defer cancel()
	tpl, err := template.Get(ctx, Wanted(cache, programs, base, t.Logf))
	if err != nil {
		t.Fatal(err)
	}
	return tpl
}

// furnish gives a machine two NICs and two disks, to be told apart.
func furnish(t *testing.T, s args.Spec) Spec {
	t.Helper()
	dir := t.TempDir()
	s.Name, s.Dir, s.Log = "node", args.Dir(dir), filepath.Join(dir, "console.log")
	full := Spec{Machine: s, NICs: []NIC{{MAC: "02:00:00:00:00:10"}, {MAC: "02:00:00:00:00:11"}}}
	for _, name := range []string{"first", "second"} {
		path := filepath.Join(dir, name)
		must(t, errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<20)))
		full.Disks = append(full.Disks, Disk{Path: path, Format: "raw", Serial: name})
	}
	return full
}

// inside runs shell commands in a guest.
type inside struct{ *guest.Session }

func talk(t *testing.T, v *VM) inside {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), slow)
	defer cancel()
	c, err := net.Dial("unix", v.Dir().Channel())
	if err != nil {
		t.Fatal(err)
	}
	s, err := guest.Connect(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return inside{s}
}

func (i inside) sh(t *testing.T, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), slow)
	defer cancel()
	var out bytes.Buffer
	if _, err := i.Exec(ctx, guest.Command{Argv: []string{"sh", "-c", script}}, guest.Stdio{Out: &out, Err: &out}); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

// eventually asks a guest, which acts on what is plugged in its own time,
// until it says what is wanted.
func (i inside) eventually(t *testing.T, script, want string) {
	t.Helper()
	loop := fmt.Sprintf(`for i in $(seq 100); do got=$(%s); [ "$got" = "%s" ] && break; sleep 0.2; done; echo "$got"`, script, want)
	if got := i.sh(t, loop); got != want {
		t.Errorf("%s says %q, want %q", script, got, want)
	}
}

const (
	cards = `cat /sys/class/net/eth*/address | tr '\n' ' ' | sed 's/02:00:00:00:00:/:/g;s/ $//'`
	disks = `for d in /sys/block/vd*; do cat $d/serial; echo; done | tr '\n' ' ' | sed 's/ $//'`
)

// A clone and a machine that was booted are told the same things in the same
// order: eth0 is the first NIC.
func TestAMachineIsPluggedTogether(t *testing.T) {
	base := node(t)
	tpl := cached(t, base)
	for name, from := range map[string]Spec{
		"clone that becomes":     {Template: &tpl, Library: library(t)},
		"clone that reads state": {Template: &tpl},
		"cold":                   {},
	} {
		t.Run(name, func(t *testing.T) {
			s := furnish(t, base)
			s.Template, s.Library = from.Template, from.Library
			begun := time.Now()
			v, run := start(t, s)
			t.Logf("runs after %s", time.Since(begun))
			g := talk(t, v)
			g.eventually(t, cards, ":10 :11")
			g.eventually(t, disks, "first second")
			t.Logf("has all it was given after %s, and %d MiB", time.Since(begun), private(t, run.PID()))
			live(t, v, g)
		})
	}
}

// What a rehearsal leaves is nothing that a machine has not that was booted: the
// same at the gate, down to what runs and what is mounted.
func TestARehearsalLeavesNothing(t *testing.T) {
	base := node(t)
	var told []string
	tpl, err := template.Get(t.Context(), Wanted(t.TempDir(), programs, base, func(format string, a ...any) {
		told = append(told, fmt.Sprintf(format, a...))
	}))
	if err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || !tpl.HasFrozen() { // that a machine is booted once
		t.Errorf("frozen: %v; it said %q", tpl.HasFrozen(), told)
	}
	const look = `ls -A /tmp /run /run/* /mnt /mnt/* /etc/g8os /var/lib /var/log /root; hostname; cut -d' ' -f2- /proc/mounts
ls /sys/class/net /sys/block; find /sys/fs/cgroup -type d; cat /sys/fs/cgroup/cgroup.subtree_control; ip -o address; ip route; cat /etc/resolv.conf
for p in /proc/[0-9]*; do [ ! -s $p/cmdline ] || tr '\0' ' ' <$p/cmdline; done | sed 's/sh -c .*//'`
	at := func(from *template.Template) string {
		s := furnish(t, base)
		s.Disks, s.NICs, s.Template, s.Library = nil, nil, from, library(t)
		v, run := start(t, s)
		defer run.Close()
		return talk(t, v).sh(t, look)
	}
	if clone, cold := at(&tpl), at(nil); clone != cold {
		t.Errorf("a clone at the gate has\n%s\na machine that was booted\n%s", clone, cold)
	}
}

// An image of another host, or of another QEMU, costs time and no machine.
func TestAnImageThatDoesNotFit(t *testing.T) {
	base := node(t)
	tpl := cached(t, base)
	other := template.Template{Dir: t.TempDir()}
	must(t, errors.Join(os.Symlink(tpl.Memory(), other.Memory()), os.Symlink(tpl.State(), other.State()),
		os.WriteFile(other.Frozen(), make([]byte, 8<<20), 0o600)))
	s := furnish(t, base)
	s.Template, s.Library = &other, library(t)
	v, _ := start(t, s)
	talk(t, v).eventually(t, cards, ":10 :11")
}

// live changes what is in a machine that runs.
func live(t *testing.T, v *VM, g inside) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, v.UnplugNIC(ctx, 1))
	must(t, v.UnplugDisk(ctx, 1))
	g.eventually(t, cards, ":10")
	g.eventually(t, disks, "first")
	must(t, v.PlugNIC(ctx, 1, NIC{MAC: "02:00:00:00:00:12"}))
	g.eventually(t, cards, ":10 :12")
	g.sh(t, "ip link set eth0 up")
	must(t, v.SetLink(ctx, 0, false))
	g.eventually(t, "cat /sys/class/net/eth0/carrier", "0")
	must(t, v.SetLink(ctx, 0, true))
	g.eventually(t, "cat /sys/class/net/eth0/carrier", "1")
}

func TestClonesShareTheirMemory(t *testing.T) {
	base := node(t)
	tpl := cached(t, base)
	var pids []int
	begun := time.Now()
	for range 4 {
		s := furnish(t, base)
		s.Template, s.Library = &tpl, library(t)
		v, run := start(t, s)
		talk(t, v).eventually(t, cards, ":10 :11")
		pids = append(pids, run.PID())
	}
	t.Logf("%d clones after %s", len(pids), time.Since(begun))
	sum := 0
	for _, pid := range pids {
		sum += private(t, pid)
	}
	if each := sum / len(pids); each > maxCloneMiB {
		t.Errorf("a clone costs %d MiB, at most %d", each, maxCloneMiB)
	} else {
		t.Logf("a clone costs %d MiB", each)
	}
}

// private is what only this process has of the memory it uses, in MiB.
func private(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for line := range strings.Lines(string(text)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "Private_Dirty: %d kB", &kib); n == 1 {
			sum += kib
		}
	}
	if sum == 0 {
		t.Fatalf("no private memory in %s", text)
	}
	return sum >> 10
}
