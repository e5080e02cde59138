package preflight

import (
	"slices"
	"strings"
	"testing"

	"github.com/g8os/g8os/lab/topology"
)

func TestEnough(t *testing.T) {
	if err := enough(slices.Repeat([]int{perNode}, 6), 440); err != nil {
		t.Error(err)
	}
	err := enough(slices.Repeat([]int{perNode}, 100), 1000)
	want := "100 nodes take about 4200 MiB of memory, 1000 MiB are free; 20 nodes would fit (--nodes 20)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAvailable(t *testing.T) {
	if got := available("MemTotal: 24683000 kB\nMemFree: 1 kB\nMemAvailable:   24380000 kB\n"); got != 23808 {
		t.Errorf("got %d", got)
	}
	if got := available("garbage"); got != 0 {
		t.Errorf("got %d out of garbage", got)
	}
}

func TestMissingTools(t *testing.T) {
	err := checkTools("run", tools, func(program string) bool { return !strings.HasPrefix(program, "ovs") && program != "dnsmasq" })
	want := "missing: ovsdb-tool, ovsdb-server, ovs-vswitchd, ovs-vsctl, ovs-ofctl, dnsmasq; " +
		"install openvswitch-common openvswitch-switch dnsmasq-base (ci/install run does it, and so does make lab-up)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestCheckHere(t *testing.T) {
	if err := Check(Lab{Nodes: []topology.Machine{{Name: "n"}}, Data: t.TempDir()}); err != nil {
		t.Error(err)
	}
}

func machines(n int, vm topology.VM) []topology.Machine {
	return slices.Repeat([]topology.Machine{{Fidelity: topology.Virtual, VM: &vm}}, n)
}

// What machines need is asked for where there are machines, and nowhere else.
func TestMachineTools(t *testing.T) {
	nothing := func(string) bool { return false }
	if err := checkTools("vm", Lab{Nodes: []topology.Machine{{Fidelity: topology.NetNS}}}.tools(), nothing); err != nil {
		t.Error(err)
	}
	direct := Lab{Nodes: machines(1, topology.VM{Boot: "kernel"})}
	want := "missing: qemu-system-x86_64, /usr/share/seabios/bios-256k.bin, qemu-img, mkfs.ext4, mkfs.vfat, mcopy; " +
		"install qemu-system-x86 seabios qemu-utils e2fsprogs dosfstools mtools (ci/install vm does it)"
	if err := checkTools("vm", direct.tools(), nothing); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	chip := Lab{Nodes: []topology.Machine{{Fidelity: topology.NetNS, TPM: true}}}
	want = "missing: swtpm; install swtpm (ci/install vm does it)"
	if err := checkTools("vm", chip.tools(), nothing); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	stick := Lab{Nodes: machines(1, topology.VM{Boot: "usb", Firmware: "uefi"})}
	err := checkTools("vm", stick.tools(), func(what string) bool { return !strings.Contains(what, "OVMF") })
	want = "missing: /usr/share/OVMF/OVMF_CODE_4M.fd, /usr/share/OVMF/OVMF_VARS_4M.fd; install ovmf (ci/install vm does it)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestMemoryOfMachines(t *testing.T) {
	clone, stick := topology.VM{Memory: 192, Boot: "kernel"}, topology.VM{Memory: 512, Boot: "usb"}
	for _, tt := range []struct {
		vm   topology.VM
		cold bool
		want int
	}{{clone, false, perClone}, {clone, true, 192 + overQEMU}, {stick, false, 512 + overQEMU}} {
		if got := (Lab{Cold: tt.cold}).memory(machines(1, tt.vm)[0]); got != tt.want {
			t.Errorf("%+v: got %d, want %d", tt, got, tt.want)
		}
	}
}

func TestRoom(t *testing.T) {
	free := func(string) (int, error) { return 1000, nil }
	l := Lab{Nodes: machines(2, topology.VM{Boot: "usb"}), Data: "/data"}
	if err := l.checkRoom(free); err != nil {
		t.Error(err)
	}
	l.Nodes = machines(3, *l.Nodes[0].VM)
	want := "/data: 1000 MiB are free, the disks of these nodes take about 1296; make room, or bring fewer up (--nodes)"
	if err := l.checkRoom(free); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if n, err := freeOf(t.TempDir() + "/not/there"); err != nil || n == 0 {
		t.Errorf("%d MiB, %v", n, err)
	}
}
