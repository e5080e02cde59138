package modules

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Device is one that told what would drive it.
type Device struct {
	Path  string // below /sys/devices; its order is that of the bus
	Alias string
}

// Class is how soon a device's module is wanted.
type Class int

// The classes.
const (
	First Class = iota // network cards, and all of virtio
	Soon               // disks, and the buses to them
	Later              // sensors, ciphers, buttons, screens, watchdogs, kvm
	classes
)

// soonBuses lead to disks and network cards. PCI is one of them, but has much
// else on it.
var soonBuses = []string{"pci", "virtio", "scsi", "usb", "vmbus", "xen", "mmc", "sdio", "nd"}

// soonPCI are classes of PCI devices: storage, USB.
var soonPCI = []string{"01", "0c03"}

// ClassOf tells from the alias of a device how soon it is wanted.
func ClassOf(alias string) Class {
	const virtio = "pci:v00001AF4"
	if IsNetwork(alias) || strings.HasPrefix(alias, virtio) || strings.HasPrefix(alias, "virtio:") {
		return First
	}
	class := pciClass(alias)
	for _, c := range soonPCI {
		if class != "" && strings.HasPrefix(class, c) {
			return Soon
		}
	}
	bus, _, _ := strings.Cut(alias, ":")
	if bus != "pci" && slices.Contains(soonBuses, bus) {
		return Soon
	}
	return Later
}

// pciClass returns class and subclass of a PCI device, "" for others:
// pci:vVdDsvSsdSbcCCscCCiII.
func pciClass(alias string) string {
	if !strings.HasPrefix(alias, "pci:") {
		return ""
	}
	_, rest, ok := strings.Cut(alias, "bc")
	if !ok || len(rest) < 6 || rest[2:4] != "sc" {
		return ""
	}
	return strings.ToLower(rest[:2] + rest[4:6])
}

// offBus are devices with a modalias that are on no bus: the processor, the
// machine as a whole, keyboards and buttons.
var offBus = []string{"devices/system/cpu", "devices/virtual/dmi/id", "class/input/input*"}

// Devices finds the devices on some buses, or everywhere, that have a modalias
// and no driver yet, in the order of the bus.
func Devices(sys string, buses ...string) []Device {
	patterns := offBus
	if len(buses) == 0 {
		buses = []string{"*"}
	} else {
		patterns = nil
	}
	for _, b := range buses {
		patterns = append(patterns, filepath.Join("bus", b, "devices/*"))
	}
	var found []Device
	for _, p := range patterns {
		dirs, _ := filepath.Glob(filepath.Join(sys, p))
		for _, dir := range dirs {
			if d, ok := device(dir); ok {
				found = append(found, d)
			}
		}
	}
	return found
}

// device reads one. Devices come and go under our hands: what cannot be read is
// gone.
func device(dir string) (Device, bool) {
	if _, err := os.Lstat(filepath.Join(dir, "driver")); err == nil {
		return Device{}, false
	}
	alias, err := os.ReadFile(filepath.Join(dir, "modalias"))
	a := strings.TrimSpace(string(alias))
	if err != nil || a == "" {
		return Device{}, false
	}
	if target, err := os.Readlink(dir); err == nil { // on buses devices are links
		dir = target
	}
	_, path, _ := strings.Cut(dir, "devices/")
	return Device{Path: path, Alias: a}, true
}

// IsNetwork tells from the alias whether a device is a network card on a bus
// whose order is fixed: PCI, or virtio. (USB and the rest come when they come.)
func IsNetwork(alias string) bool {
	return strings.HasPrefix(pciClass(alias), "02") || strings.HasPrefix(alias, "virtio:d00000001v")
}
