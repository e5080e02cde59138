// Package preflight says, before anything is touched, why a lab could not come
// up on this machine, and what to do about it.
//
// It promises that each problem is one line with its remedy, and that looking
// changes nothing but the set of loaded kernel modules. It proves no
// capability by use.
package preflight

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/topology"
)

// tool is a program a lab runs, and the Debian package it comes from.
type tool struct{ program, pkg string }

var tools = []tool{
	{"ovsdb-tool", "openvswitch-common"},
	{"ovsdb-server", "openvswitch-switch"},
	{"ovs-vswitchd", "openvswitch-switch"},
	{"ovs-vsctl", "openvswitch-switch"},
	{"ovs-ofctl", "openvswitch-common"},
	{"dnsmasq", "dnsmasq-base"},
	{"ip", "iproute2"},
	{"ssh", "openssh-client"},
	{"sshd", "openssh-server"},
	{"fusermount3", "fuse3"},
	{"tcpdump", "tcpdump"},
}

// Memory of a lab in MiB: what a node takes (init, g8os_core, gocryptfs, sshd)
// and what is there once (the AC with its etcd, the switch).
const (
	perNode = 40
	perLab  = 200
)

// Lab is what is to come up.
type Lab struct {
	Nodes []topology.Machine // those that have no power yet
	Cold  bool               // virtual machines are no clones
	Data  string             // where the disks of nodes will be
}

// Check returns every reason why a lab would not come up.
func Check(l Lab) error {
	if os.Geteuid() != 0 {
		return errors.New("a lab is made of namespaces, mounts and network interfaces, which takes root; run it as root (sudo)")
	}
	return errors.Join(checkTools("run", tools, found), checkTools("vm", l.tools(), found), checkKernel(), l.checkMemory(), l.checkRoom(freeOf))
}

// found takes the name of a program, or the path of a file.
func found(what string) bool {
	if filepath.IsAbs(what) {
		_, err := os.Stat(what)
		return err == nil
	}
	_, err := machine.Look(what)
	return err == nil
}

// checkTools names the tools that are not there, the packages they come from,
// and what of ci/install brings them.
func checkTools(step string, tools []tool, found func(program string) bool) error {
	var missing, pkgs []string
	for _, t := range tools {
		if found(t.program) {
			continue
		}
		missing = append(missing, t.program)
		if !slices.Contains(pkgs, t.pkg) {
			pkgs = append(pkgs, t.pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	remedy := "ci/install " + step + " does it"
	if step == "run" {
		remedy += ", and so does make lab-up"
	}
	return fmt.Errorf("missing: %s; install %s (%s)", strings.Join(missing, ", "), strings.Join(pkgs, " "), remedy)
}

func checkKernel() error {
	var errs []error
	for _, ns := range []string{"net", "mnt", "uts", "ipc", "pid"} {
		if _, err := os.Stat("/proc/self/ns/" + ns); err != nil {
			errs = append(errs, fmt.Errorf("the kernel has no %s namespaces; run on a stock Debian kernel", ns))
		}
	}
	for _, fs := range []string{"overlay", "fuse", "tmpfs"} {
		if !filesystem(fs) {
			errs = append(errs, fmt.Errorf("the kernel has no file system %s; modprobe %s, or run on a stock Debian kernel", fs, fs))
		}
	}
	for _, dev := range []string{"/dev/net/tun", "/dev/fuse"} {
		if _, err := os.Stat(dev); err != nil {
			errs = append(errs, fmt.Errorf("%s: not there; modprobe %s, or in a container give it the device", dev, filepath.Base(dev)))
		}
	}
	return errors.Join(errs...)
}

// filesystem reports whether the kernel has one, loading its module if need be.
func filesystem(name string) bool {
	if listed(name) {
		return true
	}
	_ = exec.Command("modprobe", "-q", name).Run()
	return listed(name)
}

func listed(name string) bool {
	text, _ := os.ReadFile("/proc/filesystems")
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 0 && f[len(f)-1] == name {
			return true
		}
	}
	return false
}

func (l Lab) checkMemory() error {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return err
	}
	var each []int
	for _, n := range l.Nodes {
		each = append(each, l.memory(n))
	}
	return enough(each, available(string(text)))
}

// enough compares what nodes take, one by one, with what is free, in MiB.
func enough(each []int, free int) error {
	want, fit := perLab, 0
	for i, n := range each {
		if want += n; want <= free {
			fit = i + 1
		}
	}
	if free >= want {
		return nil
	}
	return fmt.Errorf("%d nodes take about %d MiB of memory, %d MiB are free; %d nodes would fit (--nodes %[4]d)",
		len(each), want, free, fit)
}

// available reads MemAvailable of /proc/meminfo, in MiB.
func available(meminfo string) int {
	for line := range strings.Lines(meminfo) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemAvailable:" {
			kib, _ := strconv.Atoi(f[1])
			return kib >> 10
		}
	}
	return 0
}
