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

// Check returns every reason why a lab of so many nodes would not come up.
func Check(nodes int) error {
	if os.Geteuid() != 0 {
		return errors.New("a lab is made of namespaces, mounts and network interfaces, which takes root; run it as root (sudo)")
	}
	return errors.Join(checkTools(found), checkKernel(), checkMemory(nodes))
}

func found(program string) bool {
	_, err := machine.Look(program)
	return err == nil
}

// checkTools names the tools that are not there, and the packages they come from.
func checkTools(found func(program string) bool) error {
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
	return fmt.Errorf("missing: %s; install %s (ci/install run does it, and so does make lab-up)",
		strings.Join(missing, ", "), strings.Join(pkgs, " "))
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

func checkMemory(nodes int) error {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return err
	}
	return enough(nodes, available(string(text)))
}

// enough compares what nodes take with what is free, in MiB.
func enough(nodes, free int) error {
	want := perLab + nodes*perNode
	if free >= want {
		return nil
	}
	return fmt.Errorf("%d nodes take about %d MiB of memory, %d MiB are free; %d nodes would fit (--nodes %[4]d)",
		nodes, want, free, max(0, (free-perLab)/perNode))
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
