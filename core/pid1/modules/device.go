package modules

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Device is one that told what would drive it.
type Device struct {
	Path  string // below /sys/devices; its order is that of the bus
	Alias string
}

// Devices finds all devices of the machine that have a modalias and no driver
// yet, in the order of the bus.
func Devices(sys string) []Device {
	var found []Device
	root := filepath.Join(sys, "devices")
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != "modalias" { // devices come and go under our hands
			return nil
		}
		dir := filepath.Dir(path)
		if _, err := os.Lstat(filepath.Join(dir, "driver")); err == nil {
			return nil
		}
		alias, err := os.ReadFile(path)
		if a := strings.TrimSpace(string(alias)); err == nil && a != "" {
			found = append(found, Device{Path: strings.TrimPrefix(dir, root+"/"), Alias: a})
		}
		return nil
	})
	return found
}

// IsNetwork tells from the alias whether a device is a network card: PCI class
// 02, or virtio device 1, or a network device of Hyper-V or USB that says so.
func IsNetwork(alias string) bool {
	if pci, ok := strings.CutPrefix(alias, "pci:"); ok {
		_, class, ok := strings.Cut(pci, "bc")
		return ok && strings.HasPrefix(class, "02")
	}
	return strings.HasPrefix(alias, "virtio:d00000001v")
}
