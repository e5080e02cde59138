package preflight

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab/swtpm"
	"github.com/g8os/g8os/lab/topology"
	"github.com/g8os/g8os/lab/vm/disk"
)

// What virtual machines take beside the tools of every lab.
var (
	machineTools = []tool{
		{"qemu-system-x86_64", "qemu-system-x86"},
		{"/usr/share/seabios/bios-256k.bin", "seabios"},
		{"qemu-img", "qemu-utils"},
		{"mkfs.ext4", "e2fsprogs"},
		{"mkfs.vfat", "dosfstools"},
		{"mcopy", "mtools"},
	}
	firmware = []tool{{disk.OVMFCode, "ovmf"}, {disk.OVMFVars, "ovmf"}}
)

// In MiB.
const (
	perClone   = 80  // all told; the memory it shares with its template not counted
	overQEMU   = 60  // what QEMU takes beside the memory of the guest
	perMachine = 32  // of disk, until the node writes more: state disk, boot medium
	perStick   = 400 // of disk: a stick's image is copied
)

func virtual(m topology.Machine) bool { return m.Fidelity == topology.Virtual }

func (l Lab) tools() []tool {
	var all []tool
	if slices.ContainsFunc(l.Nodes, func(m topology.Machine) bool { return m.TPM }) {
		all = append(all, tool{swtpm.Program, "swtpm"})
	}
	for _, n := range l.Nodes {
		if virtual(n) {
			all = slices.Concat(all, machineTools)
			break
		}
	}
	for _, n := range l.Nodes {
		if virtual(n) && n.VM.Firmware == "uefi" {
			return slices.Concat(all, firmware)
		}
	}
	return all
}

// clones reports whether a machine is to be the clone of a template.
func (l Lab) clones(m topology.Machine) bool {
	return virtual(m) && !l.Cold && !m.TPM && !m.VM.Cold && m.VM.Boot == "kernel"
}

// memory is what a node takes.
func (l Lab) memory(m topology.Machine) int {
	switch {
	case l.clones(m):
		return perClone
	case virtual(m):
		return m.VM.Memory + overQEMU
	}
	return perNode
}

// checkRoom compares what the machines' files take with what is free; free
// says that of a directory, in MiB. Room for a template is looked for by who
// makes one: it may be there.
func (l Lab) checkRoom(free func(dir string) (int, error)) error {
	want := 0
	for _, n := range l.Nodes {
		if !virtual(n) {
			continue
		}
		want += perMachine
		if n.VM.Boot == "usb" {
			want += perStick
		}
	}
	if want == 0 {
		return nil
	}
	have, err := free(l.Data)
	if err == nil && have < want {
		err = fmt.Errorf("%s: %d MiB are free, the disks of these nodes take about %d; make room, or bring fewer up (--nodes)", l.Data, have, want)
	}
	return err
}

// freeOf is the room below a directory that need not be there yet.
func freeOf(dir string) (int, error) {
	for {
		var st unix.Statfs_t
		err := unix.Statfs(dir, &st)
		if err == nil {
			return int(int64(st.Bavail) * st.Bsize >> 20), nil
		}
		if parent := filepath.Dir(dir); os.IsNotExist(err) && parent != dir {
			dir = parent
			continue
		}
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
}
