package api

import "time"

// Facts answers BuiltinFacts: what a machine is, as far as it can be read. What
// is not known is empty.
type Facts struct {
	Time     time.Time         `json:"time"` // by the node's clock
	Hostname string            `json:"hostname"`
	Kernel   string            `json:"kernel"` // release
	Arch     string            `json:"arch"`   // as uname(1) says it
	OS       string            `json:"os"`     // PRETTY_NAME of os-release(5)
	Boot     time.Time         `json:"boot"`   // when the kernel started
	Machine  MachineFacts      `json:"machine"`
	CPU      CPUFacts          `json:"cpu"`
	Memory   int64             `json:"memory"` // bytes
	Swap     int64             `json:"swap"`   // bytes
	TPM      string            `json:"tpm"`    // its version, "2.0" or "1.2"; empty: none
	Disks    []DiskFacts       `json:"disks"`
	Mounts   []MountFacts      `json:"mounts"` // of disks and of memory
	NICs     []NICFacts        `json:"nics"`
	Versions map[string]string `json:"versions"` // of core, gocryptfs, ovs, docker: of those that are there
}

// MachineFacts is what the firmware says of the machine (DMI).
type MachineFacts struct {
	Vendor   string `json:"vendor"`
	Product  string `json:"product"`
	Serial   string `json:"serial"` // only root can read it
	Firmware string `json:"firmware"`
	Boots    string `json:"boots"` // uefi | bios
}

// CPUFacts is about the processors.
type CPUFacts struct {
	Model          string   `json:"model"`
	Sockets        int      `json:"sockets"`
	Cores          int      `json:"cores"`
	Threads        int      `json:"threads"` // what the kernel schedules on
	Virtualization string   `json:"virtualization"`
	Hypervisor     bool     `json:"hypervisor"` // it is itself a guest
	Flags          []string `json:"flags"`      // of those that decide what runs here
}

// DiskFacts is one disk.
type DiskFacts struct {
	Name       string `json:"name"` // as in /dev
	Model      string `json:"model"`
	Size       int64  `json:"size"` // bytes
	Rotational bool   `json:"rotational"`
	Removable  bool   `json:"removable"`
}

// MountFacts is one file system.
type MountFacts struct {
	Path     string `json:"path"`
	Source   string `json:"source"`
	Type     string `json:"type"`
	Total    int64  `json:"total"` // bytes
	Used     int64  `json:"used"`
	ReadOnly bool   `json:"read_only"`
}

// NICFacts is one network interface.
type NICFacts struct {
	Name      string   `json:"name"`
	MAC       string   `json:"mac"`
	Kind      string   `json:"kind"` // device, veth, bridge, vlan, …
	Driver    string   `json:"driver"`
	Speed     int      `json:"speed"` // Mbit/s; 0: not known
	MTU       int      `json:"mtu"`
	Carrier   bool     `json:"carrier"`
	Addresses []string `json:"addresses"` // with prefix length
}
