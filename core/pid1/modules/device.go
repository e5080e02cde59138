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
	Soon  Class = iota // disks, network cards, and the buses and channels to them
	Later              // sensors, ciphers, buttons, screens, watchdogs, kvm
)

// soonBuses lead to disks and network cards. PCI is one of them, but has much
// else on it.
var soonBuses = []string{"pci", "virtio", "scsi", "usb", "vmbus", "xen", "mmc", "sdio", "nd"}

// soonPCI are classes of PCI devices: storage, network, USB, virtual machines'
// simple communication controllers (their channel to the host).
var soonPCI = []string{"01", "02", "0c03", "0780"}

// ClassOf tells from the alias of a device how soon it is wanted.
func ClassOf(alias string) Class {
	class := pciClass(alias)
	for _, c := range soonPCI {
		if class != "" && strings.HasPrefix(class, c) {
			return Soon
		}
	}
	const virtio = "pci:v00001AF4"
	if strings.HasPrefix(alias, virtio) {
		return Soon
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

// Devices finds the devices on some buses, or on all, that have a modalias and
// no driver yet, in the order of the bus.
func Devices(sys string, buses ...string) []Device {
	if len(buses) == 0 {
		entries, err := os.ReadDir(filepath.Join(sys, "bus"))
		if err != nil {
			return nil
		}
		for _, e := range entries {
			buses = append(buses, e.Name())
		}
	}
	var found []Device
	for _, b := range buses {
		found = append(found, onBus(sys, b)...)
	}
	return found
}

func onBus(sys, bus string) []Device {
	links, _ := filepath.Glob(filepath.Join(sys, "bus", bus, "devices/*"))
	var found []Device
	for _, link := range links { // devices come and go under our hands: what cannot be read is gone
		if _, err := os.Lstat(filepath.Join(link, "driver")); err == nil {
			continue
		}
		alias, err := os.ReadFile(filepath.Join(link, "modalias"))
		target, err2 := os.Readlink(link)
		if a := strings.TrimSpace(string(alias)); err == nil && err2 == nil && a != "" {
			_, path, _ := strings.Cut(target, "devices/")
			found = append(found, Device{Path: path, Alias: a})
		}
	}
	return found
}

// IsNetwork tells from the alias whether a device is a network card on a bus
// whose order is fixed: PCI, or virtio. (USB and the rest come when they come.)
func IsNetwork(alias string) bool {
	return strings.HasPrefix(pciClass(alias), "02") || strings.HasPrefix(alias, "virtio:d00000001v")
}
