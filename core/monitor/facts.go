package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs/sysfs"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/api"
)

// deciding are the flags of a processor that decide what runs on it, of those
// that /proc/cpuinfo has on x86 and on ARM.
var deciding = []string{
	"vmx", "svm", "ept", "npt", "hypervisor", "aes", "avx", "avx2", "avx512f", "sha_ni", "sse4_2", "rdrand", "rdseed",
	"lm", "nx", "pdpe1gb", "smep", "smap", "sme", "sev", "tdx_guest", "asimd", "sha2", "crc32", "atomics",
}

// Facts reads what this machine is. What cannot be read is left out; the error
// says what and why, beside all that could be.
func (r *Reader) Facts(ctx context.Context) (api.Facts, error) {
	f := api.Facts{Time: time.Now(), OS: r.osName(), TPM: r.tpm(), Machine: r.machine(), Versions: versions(ctx)}
	f.Hostname, _ = os.Hostname()
	var name unix.Utsname
	if err := unix.Uname(&name); err == nil {
		f.Kernel, f.Arch = unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Machine[:])
	}
	s, err := r.Sample()
	f.Memory, f.Swap = s.MemTotal, s.Swap
	f.Mounts = []api.MountFacts{}
	for _, m := range s.FileSystems {
		f.Mounts = append(f.Mounts, api.MountFacts{Path: m.Path, Source: m.Source, Type: m.Type, Total: m.Total, Used: m.Used, ReadOnly: m.ReadOnly})
	}
	if st, err := r.proc.Stat(); err == nil {
		f.Boot = time.Unix(int64(st.BootTime), 0).UTC()
	}
	var errs [3]error
	f.CPU, errs[0] = r.processors()
	f.Disks, errs[1] = r.diskFacts()
	f.NICs, errs[2] = r.nics()
	return f, errors.Join(append(errs[:], err)...)
}

// osName is what the operating system calls itself (os-release(5)).
func (r *Reader) osName() string {
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		for line := range strings.Lines(text(file)) {
			if value, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
				value = strings.TrimSpace(value)
				if plain, err := strconv.Unquote(value); err == nil {
					return plain
				}
				return value
			}
		}
	}
	return ""
}

// tpm is the version of the first TPM.
func (r *Reader) tpm() string {
	dir := filepath.Join(r.paths.Sys, "class/tpm/tpm0")
	switch text(filepath.Join(dir, "tpm_version_major")) {
	case "2":
		return "2.0"
	case "1":
		return "1.2"
	}
	if _, err := os.Stat(dir); err == nil {
		return "unknown"
	}
	return ""
}

func (r *Reader) machine() (m api.MachineFacts) {
	if _, err := os.Stat(filepath.Join(r.paths.Sys, "firmware/efi")); err == nil {
		m.Boots = "uefi"
	}
	sys, err := sysfs.NewFS(r.paths.Sys)
	if err != nil {
		return m
	}
	dmi, err := sys.DMIClass()
	if err != nil { // none: a small board, or a virtual machine without
		return m
	}
	of := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	m.Boots = cmp.Or(m.Boots, "bios")
	m.Vendor, m.Product, m.Serial = of(dmi.SystemVendor), of(dmi.ProductName), of(dmi.ProductSerial)
	m.Firmware = strings.Join(strings.Fields(of(dmi.BiosVendor)+" "+of(dmi.BiosVersion)+" "+of(dmi.BiosDate)), " ")
	return m
}

func (r *Reader) processors() (c api.CPUFacts, err error) {
	list, err := r.proc.CPUInfo()
	if err != nil || len(list) == 0 {
		return c, err
	}
	type core struct{ socket, id string }
	sockets, cores := map[string]bool{}, map[core]bool{}
	for _, p := range list {
		sockets[p.PhysicalID], cores[core{p.PhysicalID, cmp.Or(p.CoreID, fmt.Sprint(p.Processor))}] = true, true
	}
	c.Model, c.Sockets, c.Cores, c.Threads = list[0].ModelName, len(sockets), len(cores), len(list)
	c.Flags = []string{}
	for _, flag := range deciding {
		if slices.Contains(list[0].Flags, flag) {
			c.Flags = append(c.Flags, flag)
		}
	}
	c.Hypervisor = slices.Contains(c.Flags, "hypervisor")
	for _, v := range []string{"vmx", "svm"} {
		if slices.Contains(c.Flags, v) {
			c.Virtualization = v
		}
	}
	return c, nil
}

func (r *Reader) diskFacts() ([]api.DiskFacts, error) {
	list := []api.DiskFacts{}
	names, err := r.blocks.SysBlockDevices()
	for _, name := range names {
		if memoryDisk(name) {
			continue
		}
		of := func(file string) string { return text(filepath.Join(r.paths.Sys, "block", name, file)) }
		sectors, _ := strconv.ParseInt(of("size"), 10, 64)
		if sectors == 0 { // a drive without a medium
			continue
		}
		vendor := of("device/vendor")
		if strings.HasPrefix(vendor, "0x") { // virtio: of its PCI device
			vendor = ""
		}
		list = append(list, api.DiskFacts{
			Name: name, Model: strings.TrimSpace(vendor + " " + cmp.Or(of("device/model"), of("device/name"))),
			Size: sectors * 512, Rotational: of("queue/rotational") == "1", Removable: of("removable") == "1",
		})
	}
	slices.SortFunc(list, func(a, b api.DiskFacts) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// FactsOf answers a job that asks for facts: whatever could be read.
func FactsOf(ctx context.Context, p Paths) (api.Facts, error) {
	r, err := NewReader(p)
	if err != nil {
		return api.Facts{}, err
	}
	f, err := r.Facts(ctx)
	if f.Hostname == "" {
		return f, err
	}
	return f, nil
}
