package disks

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Blocks lists the block devices that may hold something: disks and their
// partitions, but no loop or RAM devices and nothing empty.
func Blocks(sys string) []string {
	entries, err := os.ReadDir(filepath.Join(sys, "class/block"))
	if err != nil {
		return nil // no disk has a driver yet
	}
	var names []string
	for _, e := range entries {
		if Wanted(e.Name()) && sectors(sys, e.Name()) > 0 {
			names = append(names, e.Name())
		}
	}
	return names
}

// Wanted leaves out what is never a disk. Opening an empty CD or floppy drive
// takes seconds; those that hold something have a size.
func Wanted(name string) bool {
	for _, p := range []string{"loop", "ram", "zram", "nbd", "dm-", "fd"} {
		if strings.HasPrefix(name, p) {
			return false
		}
	}
	return name != ""
}

// Coming tells whether a card is in a slot that can be plugged while the machine
// runs, and the kernel has not made a device of it yet
// (Documentation/ABI/testing/sysfs-bus-pci).
func Coming(sys string) bool {
	slots, _ := filepath.Glob(filepath.Join(sys, "bus/pci/slots/*"))
	for _, slot := range slots {
		if attribute(slot, "adapter") != "1" {
			continue
		}
		devices, _ := filepath.Glob(filepath.Join(sys, "bus/pci/devices", attribute(slot, "address")+".*"))
		if len(devices) == 0 {
			return true
		}
	}
	return false
}

func attribute(dir, name string) string {
	raw, _ := os.ReadFile(filepath.Join(dir, name)) // a slot may go
	return strings.TrimSpace(string(raw))
}

func sectors(sys, name string) (n int64) {
	raw, err := os.ReadFile(filepath.Join(sys, "class/block", name, "size"))
	if err == nil {
		_, _ = fmt.Sscan(string(raw), &n) // stays 0: it is left out
	}
	return n
}

// ProbeDevice tells what a device below /dev holds.
func ProbeDevice(name string) (Found, error) {
	f, err := os.Open(Path(name))
	if err != nil {
		return Found{}, fmt.Errorf("look at disk %s: %w", name, err)
	}
	defer f.Close()
	c, err := Probe(f)
	if err != nil {
		return Found{}, fmt.Errorf("look at disk %s: %w", name, err)
	}
	return Found{Name: name, Content: c}, nil
}

// Path is where the device file of a block device is; the kernel writes a slash
// in its name as an exclamation mark.
func Path(name string) string {
	return filepath.Join("/dev", strings.ReplaceAll(name, "!", "/"))
}
