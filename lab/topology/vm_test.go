package topology

import (
	"slices"
	"strings"
	"testing"
)

const machines = `
segments:
  - {name: office, subnet: 192.168.7.0/24}
acs:
  - {name: ac1, legs: [{segment: office, address: 192.168.7.2}]}
nodes:
  - {name: plain, nics: [{segment: office}]}
  - {name: one, fidelity: vm, nics: [{segment: office}]}
  - {name: two, fidelity: vm, vm: {memory: 1GiB, cpus: 2, boot: usb, state: [64MiB, 2GiB], tools: true}, nics: [{segment: office}]}
  - {name: three, fidelity: vm, vm: {state: none, cold: true, append: quiet}, nics: [{segment: office}]}
`

func TestMachines(t *testing.T) {
	top, err := Parse("t.yaml", []byte(machines))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := top.Plan("x")
	if err != nil {
		t.Fatal(err)
	}
	want := []VM{
		{Memory: 256, CPUs: 1, Boot: "kernel", State: []int{512}},
		{Memory: 1024, CPUs: 2, Boot: "usb", Firmware: "uefi", State: []int{64, 2048}, Tools: true},
		{Memory: 256, CPUs: 1, Boot: "kernel", Cold: true, Append: "quiet"},
	}
	if plan.Nodes[0].VM != nil {
		t.Errorf("a node of namespaces has a machine: %+v", plan.Nodes[0].VM)
	}
	for i, w := range want {
		got := *plan.Nodes[i+1].VM
		got.line = 0
		if !slices.Equal(got.State, w.State) {
			t.Errorf("%s: disks %v, want %v", plan.Nodes[i+1].Name, got.State, w.State)
		}
		got.State, w.State = nil, nil
		if got.Memory != w.Memory || got.CPUs != w.CPUs || got.Boot != w.Boot || got.Firmware != w.Firmware ||
			got.Tools != w.Tools || got.Cold != w.Cold || got.Append != w.Append {
			t.Errorf("%s: %+v, want %+v", plan.Nodes[i+1].Name, got, w)
		}
	}
}

func TestSetFidelity(t *testing.T) {
	top, err := Parse("t.yaml", []byte(machines))
	if err != nil {
		t.Fatal(err)
	}
	if err := top.SetFidelity("paper"); err == nil {
		t.Error("no error for a fidelity that there is not")
	}
	if err := top.SetFidelity(Virtual); err != nil {
		t.Fatal(err)
	}
	plan, err := top.Plan("x")
	if err != nil || plan.Nodes[0].VM == nil || plan.Nodes[0].VM.Memory != 256 {
		t.Errorf("the first node became %+v, %v", plan.Nodes[0], err)
	}
}

func TestMACTwice(t *testing.T) {
	text := strings.Replace(machines, "{name: one, fidelity: vm, nics: [{segment: office}]}",
		"{name: one, nics: [{segment: office, mac: 02:00:00:00:00:01}, {segment: office, mac: 02:00:00:00:00:01}]}", 1)
	top, err := Parse("t.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := "t.yaml:8: mac: 02:00:00:00:00:01 of eth1 of one is also that of eth0 of one; want one of its own on a segment"
	if _, err := top.Plan("x"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	apart := &Plan{Nodes: []Machine{
		{Name: "node", Ports: []Port{{NIC: "eth0", Segment: "office", MAC: "02:00:00:00:00:01"}}},
		{Name: "thief", Ports: []Port{{NIC: "eth0", Segment: "branch", MAC: "02:00:00:00:00:01"}}},
	}}
	if err := apart.checkMACs("t.yaml"); err != nil {
		t.Errorf("a thief on a segment of his own: %v", err)
	}
}
