// Package args turns what a virtual machine is to be into the command line of
// QEMU.
//
// It promises that the same Spec gives the same words in the same order, so
// that a hash over them names a machine type; that what Check refuses never
// reaches QEMU; and that every socket of a machine is where the methods of Dir
// say. It starts nothing and looks at no file.
//
// NICs and disks that differ from machine to machine are not in it: they are
// plugged into root ports of a machine that stands still, so that a machine
// that was booted and a clone of a template get them the same way.
package args

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Program is the QEMU this package writes command lines for.
const Program = "qemu-system-x86_64"

// Port is the name of the virtio-serial port of the guest channel.
const Port = "g8os.guest"

// Ports is how many devices can be plugged into a machine.
const Ports = 12

// maxSocket is the longest path a unix socket can have (sun_path, less its end).
const maxSocket = 107

// Spec is one virtual machine.
type Spec struct {
	Name  string
	Dir   Dir    // of its sockets
	Log   string // file what the serial console says is appended to; "": nowhere
	Accel string // tcg | kvm
	CPUs  int    // 0: 1
	// MemoryMiB is the guest's memory; File is where it lies, "": nowhere.
	MemoryMiB int
	Memory    Memory
	// Boot is one of the two.
	Kernel *Kernel
	USB    *USB
	RTC    time.Time // what the clock says at power-on; zero: the host's UTC
	// Warm is what the guest of a template runs in a shell before it is copied. It
	// is no word of the command line.
	Warm string
	// TPM is the control socket of a swtpm that is the machine's TPM; "": it has none.
	TPM string
	// Incoming waits for the state of a template (migrate-incoming).
	Incoming bool
	// TranslationMiB is the buffer of translated code; 0: TranslationMiB.
	TranslationMiB int
	// NoChannel leaves the port of the guest channel out.
	NoChannel bool
	// Running does not wait for cont.
	Running bool
	// NoReboot ends QEMU where the guest would reboot: after a panic.
	NoReboot bool
}

// Memory is a file a machine's memory is mapped from.
type Memory struct {
	File   string
	Shared bool // writes go into the file; otherwise they stay the machine's own
}

// Kernel is a direct boot.
type Kernel struct{ Image, Initrd, Append string }

// USB boots the image of a stick, as firmware does it.
type USB struct {
	Image  string
	Format string // raw | qcow2; "": qcow2
	Code   string // OVMF's code; "" boots through BIOS
	Vars   string // this machine's own copy of OVMF's variables
	Serial string // of the stick
}

// Dir is the directory of a machine's sockets.
type Dir string

// Commands is the monitor commands are given on; one client at a time.
func (d Dir) Commands() string { return filepath.Join(string(d), "qmp") }

// Events is the monitor for whoever only listens.
func (d Dir) Events() string { return filepath.Join(string(d), "events") }

// Console is the serial console; one client at a time.
func (d Dir) Console() string { return filepath.Join(string(d), "console") }

// Channel is the guest channel; one client at a time.
func (d Dir) Channel() string { return filepath.Join(string(d), "channel") }

// Sockets are all of them.
func (d Dir) Sockets() []string {
	return []string{d.Commands(), d.Events(), d.Console(), d.Channel()}
}

// RootPort is the bus that the device in slot n of a machine sits on.
func RootPort(n int) string { return "rp" + strconv.Itoa(n) }

// Check says why a machine cannot be.
func (s Spec) Check() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if s.Accel != "tcg" && s.Accel != "kvm" {
		bad("acceleration is %q, must be tcg or kvm", s.Accel)
	}
	if s.MemoryMiB < 64 {
		bad("%d MiB of memory, needs at least 64", s.MemoryMiB)
	}
	if (s.Kernel == nil) == (s.USB == nil) {
		bad("boots from a kernel or from a stick, one of them")
	}
	if k := s.Kernel; k != nil && (!filepath.IsAbs(k.Image) || !filepath.IsAbs(k.Initrd)) {
		bad("kernel %s and initrd %s: need absolute paths", k.Image, k.Initrd)
	}
	for _, path := range append(s.Dir.Sockets(), s.TPM) {
		if len(path) > maxSocket {
			bad("socket %s: %d bytes long, a unix socket's path has at most %d", path, len(path), maxSocket)
			break
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("virtual machine %s: %w", s.Name, err)
	}
	return nil
}

// CheckMACs refuses a hardware address that is given twice, is no Ethernet
// address, or names a group. owner tells whose each is.
func CheckMACs(macs, owner []string) error {
	seen := map[string]string{}
	for i, text := range macs {
		mac, err := net.ParseMAC(text)
		if err != nil || len(mac) != 6 {
			return fmt.Errorf("%s: %q is no MAC address", owner[i], text)
		}
		if mac[0]&1 != 0 {
			return fmt.Errorf("%s: MAC %s is a group's, the first byte of a card's is even", owner[i], mac)
		}
		if first, twice := seen[mac.String()]; twice {
			return fmt.Errorf("MAC %s is given twice: to %s and to %s", mac, first, owner[i])
		}
		seen[mac.String()] = owner[i]
	}
	return nil
}

// Args is the command line. The first word is Program.
func (s Spec) Args() []string {
	a := words{Program}
	a.add("-name", escape(s.Name)+",process=g8vm")
	a.add("-no-user-config", "-nodefaults", "-display", "none")
	a.accel(s)
	a.memory(s)
	a.sockets(s)
	a.devices(s)
	if s.TPM != "" {
		a.add("-chardev", "socket,id=tpm,path="+escape(s.TPM), "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm0")
	}
	if s.Kernel != nil {
		a.add("-kernel", s.Kernel.Image, "-initrd", s.Kernel.Initrd, "-append", s.Kernel.Append)
	}
	if s.USB != nil {
		a.usb(*s.USB)
	}
	rtc := "utc"
	if !s.RTC.IsZero() {
		rtc = s.RTC.UTC().Format("2006-01-02T15:04:05")
	}
	a.add("-rtc", "base="+rtc)
	if s.Incoming {
		a.add("-incoming", "defer")
	}
	if s.NoReboot {
		a.add("-no-reboot")
	}
	if !s.Running {
		a.add("-S") // cards and disks first, then cont
	}
	return a
}

type words []string

func (a *words) add(more ...string) { *a = append(*a, more...) }

func (a *words) accel(s Spec) {
	cpus := strconv.Itoa(max(s.CPUs, 1))
	if s.Accel == "kvm" {
		a.add("-accel", "kvm", "-cpu", "host", "-smp", cpus)
		return
	}
	// The buffer of translated code is what a guest costs beside its own memory.
	buffer := cmp.Or(s.TranslationMiB, TranslationMiB)
	a.add("-accel", "tcg,thread=multi,tb-size="+strconv.Itoa(buffer), "-cpu", TranslatedCPU, "-smp", cpus)
}

// What a TCG guest is given. A plain processor takes a quarter less work to
// managed than max: its kernel has less to set up, and what AES-NI saves is less
// than what is spent on finding it; svm and npt are there for guests of guests.
// A node has translated some 45 MiB of code when it is managed, and translates
// all of it anew whenever the buffer is full: 32 MiB would double its work.
const (
	TranslatedCPU  = "qemu64,+npt"
	TranslationMiB = 64
	// SharedTranslationMiB is that of a template whose clones have its code: what
	// nobody has translated takes no memory.
	SharedTranslationMiB = 256
)

func (a *words) memory(s Spec) {
	size := strconv.Itoa(s.MemoryMiB) + "M"
	machine := "q35,usb=off,smbus=off,vmport=off,graphics=off"
	if s.Memory.File != "" {
		a.add("-object", object(map[string]any{
			"qom-type": "memory-backend-file", "id": "mem", "size": s.MemoryMiB << 20,
			"mem-path": s.Memory.File, "share": s.Memory.Shared,
		}))
		machine += ",memory-backend=mem"
	}
	a.add("-machine", machine, "-m", size)
}

func (a *words) sockets(s Spec) {
	socket := func(id, path string) string {
		return "socket,id=" + id + ",path=" + escape(path) + ",server=on,wait=off"
	}
	a.add("-chardev", socket("qmp", s.Dir.Commands()), "-mon", "chardev=qmp,mode=control")
	a.add("-chardev", socket("events", s.Dir.Events()), "-mon", "chardev=events,mode=control")
	console := socket("console", s.Dir.Console())
	if s.Log != "" {
		console += ",logfile=" + escape(s.Log) + ",logappend=on"
	}
	a.add("-chardev", console, "-serial", "chardev:console")
	if !s.NoChannel {
		a.add("-chardev", socket("channel", s.Dir.Channel()),
			"-device", "virtio-serial-pci,id=serial,addr=2.0", "-device", "virtserialport,bus=serial.0,chardev=channel,name="+Port)
	}
}

func (a *words) devices(s Spec) {
	a.add("-device", "virtio-rng-pci,addr=3.0", "-device", "i6300esb,addr=4.0")
	// Four functions a slot. No port needs I/O space: virtio is modern here. The
	// last is made first: QEMU tells the guest of what was plugged in while it
	// stood still newest bus first, the guest's bus scan goes by address, and the
	// first NIC is to be eth0 both ways.
	for i := Ports - 1; i >= 0; i-- {
		a.add("-device", fmt.Sprintf("pcie-root-port,id=%s,chassis=%d,slot=%d,io-reserve=0,addr=%x.%x,multifunction=on",
			RootPort(i), i+1, i+1, 0x10+i/4, i%4))
	}
}

func (a *words) usb(u USB) {
	if u.Code != "" {
		a.add("-drive", "if=pflash,format=raw,readonly=on,file="+escape(u.Code),
			"-drive", "if=pflash,format=raw,file="+escape(u.Vars))
	}
	format := u.Format
	if format == "" {
		format = "qcow2"
	}
	a.add("-blockdev", object(map[string]any{
		"driver": format, "node-name": "stick", "file": map[string]any{"driver": "file", "filename": u.Image},
	}))
	stick := "usb-storage,bus=xhci.0,drive=stick,bootindex=0,removable=on"
	if u.Serial != "" {
		stick += ",serial=" + escape(u.Serial)
	}
	a.add("-device", "qemu-xhci,id=xhci,addr=5.0", "-device", stick)
}

// object is JSON, which needs no escaping of ours.
func object(v map[string]any) string {
	text, _ := json.Marshal(v) // strings, numbers and maps cannot fail
	return string(text)
}

// escape doubles the commas of a value within an option list.
func escape(value string) string { return strings.ReplaceAll(value, ",", ",,") }
