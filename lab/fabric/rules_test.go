package fabric

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/lab/impair/link"
)

var three = []Attached{
	{Port: Port{Machine: "a", NIC: "eth0", MAC: "aa"}, Number: 1},
	{Port: Port{Machine: "b", NIC: "eth0", MAC: "bb"}, Number: 2},
	{Port: Port{Machine: "c", NIC: "eth0", MAC: "cc"}, Number: 3},
}

func TestFlows(t *testing.T) {
	late, dead := link.Spec{Delay: time.Second}, link.Spec{Loss: 100}
	via := map[string]conduit{
		"a/eth0>b/eth0": {in: 9, out: 9, tag: 1}, "a/eth0>c/eth0": {in: 9, out: 9, tag: 2}, "c/eth0>b/eth0": {in: 7, out: 8, tag: 3},
	}
	only := func(names ...string) map[string]conduit {
		some := map[string]conduit{}
		for _, n := range names {
			some[n] = via[n]
		}
		return some
	}
	tests := []struct {
		name  string
		rules Rules
		via   map[string]conduit
		want  []string
	}{
		{"none", Rules{}, nil, nil},
		{"one way", Rules{Cuts: []Cut{{"a", "b"}}}, nil, []string{
			"priority=500,dl_dst=aa,actions=output:1",
			"priority=1000,in_port=1," + toMany + ",actions=output:3",
			"priority=1000,in_port=1,dl_dst=bb,actions=drop"}},
		{"from one", Rules{Cuts: []Cut{{"a", ""}}}, nil, []string{
			"priority=500,dl_dst=aa,actions=output:1",
			"priority=1001,in_port=1,actions=drop"}},
		{"to one", Rules{Cuts: []Cut{{"", "a"}}}, nil, []string{
			"priority=500,dl_dst=bb,actions=output:2",
			"priority=1000,in_port=2," + toMany + ",actions=output:3",
			"priority=1000,in_port=2,dl_dst=aa,actions=drop",
			"priority=500,dl_dst=cc,actions=output:3",
			"priority=1000,in_port=3," + toMany + ",actions=output:2",
			"priority=1000,in_port=3,dl_dst=aa,actions=drop"}},
		{"nothing gets through", Rules{Impaired: []Impairment{{"a", "b", dead}}}, nil, []string{
			"priority=500,dl_dst=aa,actions=output:1",
			"priority=1000,in_port=1," + toMany + ",actions=output:3",
			"priority=1000,in_port=1,dl_dst=bb,actions=drop"}},
		{"late", Rules{Impaired: []Impairment{{"a", "b", late}}}, only("a/eth0>b/eth0"), []string{
			"priority=500,dl_dst=aa,actions=output:1",
			"priority=1000,in_port=1," + toMany + ",actions=output:3,push_vlan:0x8100,set_field:4097->vlan_vid,output:9",
			"priority=1000,in_port=1,dl_dst=bb,actions=push_vlan:0x8100,set_field:4097->vlan_vid,output:9",
			"priority=990,in_port=9,actions=drop",
			"priority=1000,in_port=9,dl_vlan=1,actions=pop_vlan,output:2"}},
		{"late for all", Rules{Impaired: []Impairment{{"a", "", late}}}, only("a/eth0>b/eth0", "a/eth0>c/eth0"), []string{
			"priority=500,dl_dst=aa,actions=output:1",
			"priority=1000,in_port=1," + toMany + ",actions=push_vlan:0x8100,set_field:4097->vlan_vid,output:9,pop_vlan,push_vlan:0x8100,set_field:4098->vlan_vid,output:9",
			"priority=1000,in_port=1,dl_dst=bb,actions=push_vlan:0x8100,set_field:4097->vlan_vid,output:9",
			"priority=1000,in_port=1,dl_dst=cc,actions=push_vlan:0x8100,set_field:4098->vlan_vid,output:9",
			"priority=990,in_port=9,actions=drop",
			"priority=1000,in_port=9,dl_vlan=1,actions=pop_vlan,output:2",
			"priority=1000,in_port=9,dl_vlan=2,actions=pop_vlan,output:3"}},
		{"late and cut off", Rules{Cuts: []Cut{{"a", "c"}}, Impaired: []Impairment{{"a", "", late}}}, only("a/eth0>b/eth0"), []string{
			"priority=500,dl_dst=aa,actions=output:1",
			"priority=1000,in_port=1," + toMany + ",actions=push_vlan:0x8100,set_field:4097->vlan_vid,output:9",
			"priority=1000,in_port=1,dl_dst=bb,actions=push_vlan:0x8100,set_field:4097->vlan_vid,output:9",
			"priority=1000,in_port=1,dl_dst=cc,actions=drop",
			"priority=990,in_port=9,actions=drop",
			"priority=1000,in_port=9,dl_vlan=1,actions=pop_vlan,output:2"}},
		{"through a cable", Rules{Impaired: []Impairment{{"c", "b", late}}}, map[string]conduit{"c/eth0>b/eth0": {in: 7, out: 8}}, []string{
			"priority=500,dl_dst=cc,actions=output:3",
			"priority=1000,in_port=3," + toMany + ",actions=output:1,output:7",
			"priority=1000,in_port=3,dl_dst=bb,actions=output:7",
			"priority=990,in_port=8,actions=drop",
			"priority=1000,in_port=8,actions=output:2"}},
		{"well again, and still holding", Rules{}, only("c/eth0>b/eth0"), []string{
			"priority=990,in_port=8,actions=drop",
			"priority=1000,in_port=8,dl_vlan=3,actions=pop_vlan,output:2"}},
	}
	for _, tt := range tests {
		want := append([]string{"priority=0,actions=NORMAL"}, tt.want...)
		if got := flows(pairs(tt.rules, three), three, tt.via); !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestRulesAddUp(t *testing.T) {
	r := Rules{Cuts: []Cut{{"c", ""}}, Impaired: []Impairment{
		{"a", "b", link.Spec{Loss: 10}}, {"a", "", link.Spec{Delay: time.Second}}, {"", "b", link.Spec{Delay: time.Second, Loss: 50}},
	}}
	tests := []struct {
		from, to string
		want     link.Spec
	}{
		{"a", "b", link.Spec{Loss: 55, Delay: 2 * time.Second}},
		{"a", "c", link.Spec{Delay: time.Second}},
		{"b", "a", link.Spec{}},
		{"d", "b", link.Spec{Loss: 50, Delay: time.Second}},
		{"c", "a", link.Spec{Loss: 100}},
	}
	for _, tt := range tests {
		if got := r.Of(tt.from, tt.to); got != tt.want {
			t.Errorf("%s to %s: got %+v, want %+v", tt.from, tt.to, got, tt.want)
		}
	}
	if r.Empty() || !(Rules{}).Empty() {
		t.Error("Empty is wrong")
	}
}
