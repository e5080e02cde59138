package topology_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/g8os/g8os/lab/topologies"
	"github.com/g8os/g8os/lab/topology"
)

const good = `segments:
  - name: office
    subnet: 192.168.7.0/24
    static: {first: 192.168.7.10, last: 192.168.7.12}
  - name: dhcp
    subnet: 192.168.8.0/24
    dhcp: {first: 192.168.8.10, last: 192.168.8.20, lease: 2m}
  - name: isolated
acs:
  - name: ac1
    legs:
      - {segment: office, address: 192.168.7.2}
      - {segment: dhcp, address: 192.168.8.2}
      - {segment: isolated}
nodes:
  - name: office
    count: 2
    nics: [{segment: office, method: static}]
  - name: island
    nics: [{segment: isolated}]
  - name: two
    nics:
      - {segment: dhcp, method: none}
      - {segment: office, method: static, address: 192.168.7.11, mac: "02:00:00:00:00:01"}
`

func TestMistakes(t *testing.T) {
	tests := []struct {
		name, from, to string
		want           string
	}{
		{"unknown key", "subnet: 192.168.8.0/24", "subnets: 192.168.8.0/24",
			"t.yaml:6: segments[1].subnets: unknown key, want one of name, subnet, static, dhcp"},
		{"key twice", "    subnet: 192.168.7.0/24", "    subnet: 192.168.7.0/24\n    subnet: 192.168.7.0/24",
			"t.yaml:4: segments[0].subnet: is there twice"},
		{"bad subnet", "subnet: 192.168.7.0/24", "subnet: 192.168.7.1/24",
			`t.yaml:3: segments[0].subnet: "192.168.7.1/24": want an IPv4 subnet such as 192.168.7.0/24`},
		{"bad address", "address: 192.168.8.2}", "address: 192.168.8.300}",
			`t.yaml:13: acs[0].legs[1].address: "192.168.8.300": want an address such as 192.168.7.2`},
		{"address elsewhere", "address: 192.168.8.2}", "address: 192.168.9.2}",
			"t.yaml:13: address: 192.168.9.2 is not in segment dhcp (192.168.8.0/24)"},
		{"address without a subnet", "{segment: isolated}\nnodes", "{segment: isolated, address: 10.0.0.1}\nnodes",
			"t.yaml:14: address: 10.0.0.1 is not in segment isolated (which has no subnet)"},
		{"segment that is not", "[{segment: isolated}]", "[{segment: isolate}]",
			`t.yaml:20: segment: "isolate": want one of office, dhcp, isolated`},
		{"short lease", "lease: 2m", "lease: 1m", "t.yaml:7: lease: 1m0s: want 2m or more"},
		{"no duration", "lease: 2m", "lease: soon", `t.yaml:7: segments[1].dhcp.lease: "soon": want a duration such as 10m or 1h30m`},
		{"range upside down", "first: 192.168.8.10", "first: 192.168.8.30",
			"t.yaml:7: dhcp: want first and last within 192.168.8.0/24, first not after last"},
		{"bad count", "count: 2", "count: many", `t.yaml:17: nodes[0].count: "many": want a number from 0 to 1000`},
		{"bad method", "method: none", "method: magic", `t.yaml:23: method: "magic": want static, dhcp or none`},
		{"bad MAC", "02:00:00:00:00:01", "01:00:00:00:00:01",
			`t.yaml:24: nodes[2].nics[1].mac: "01:00:00:00:00:01": want a unicast MAC address such as 02:00:00:00:00:01`},
		{"MAC for many", "[{segment: office, method: static}]", `[{segment: office, mac: "02:00:00:00:00:02"}]`,
			"t.yaml:18: nics: a MAC or an address is for one node, this group has count: 2"},
		{"name twice", "name: island", "name: two", `t.yaml:21: name: "two" is there twice; names of ACs and nodes must all differ, and so must those of segments`},
		{"bad name", "name: island", "name: Island", `t.yaml:19: name: "Island": want 1 to 24 of a-z, 0-9 and -, with a letter first, for a group`},
		{"other fidelity", "name: island", "name: island\n    fidelity: sim", `t.yaml:19: fidelity: "sim": want netns or vm`},
		{"memory without a unit", "name: island", "name: island\n    vm: {memory: 192}", `t.yaml:20: nodes[1].vm.memory: "192": want a size from 128MiB to 64GiB`},
		{"too little memory", "name: island", "name: island\n    vm: {memory: 64MiB}", `t.yaml:20: nodes[1].vm.memory: "64MiB": want a size from 128MiB to 64GiB`},
		{"other firmware", "name: island", "name: island\n    vm: {boot: usb, firmware: coreboot}", `t.yaml:20: nodes[1].vm.firmware: "coreboot": want bios or uefi`},
		{"firmware without a stick", "name: island", "name: island\n    vm: {firmware: uefi}", `t.yaml:20: firmware: uefi: firmware boots a stick, want boot: usb beside it`},
		{"five disks", "name: island", "name: island\n    vm: {state: [64MiB, 64MiB, 64MiB, 64MiB, 64MiB]}", `t.yaml:20: state: 5 disks, want at most 4`},
		{"list wanted", "acs:\n  - name: ac1\n    legs:\n      - {segment: office, address: 192.168.7.2}", "acs:\n  - name: ac1\n    legs: yes\n    x:\n      - {segment: office, address: 192.168.7.2}",
			"t.yaml:11: acs[0].legs: want a list"},
		{"not YAML", "nodes:", "nodes", "t.yaml:15: not YAML: could not find expected ':'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(good, tt.from, tt.to, 1)
			if text == good {
				t.Fatal("the mistake was not made")
			}
			_, err := topology.Parse("t.yaml", []byte(text))
			if err == nil {
				t.Fatalf("no error, want %s", tt.want)
			}
			if line, _, _ := strings.Cut(err.Error(), "\n"); line != tt.want {
				t.Errorf("got  %s\nwant %s", line, tt.want)
			}
		})
	}
}

func TestEmptyFile(t *testing.T) {
	if _, err := topology.Parse("t.yaml", nil); err == nil || err.Error() != "t.yaml:1: is empty, want segments, acs and nodes" {
		t.Errorf("got %v", err)
	}
}

func TestPlan(t *testing.T) {
	top, err := topology.Parse("t.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	p, err := top.Plan("x")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, n := range p.Nodes {
		got.WriteString(n.Name)
		for _, port := range n.Ports {
			got.WriteString(" " + port.NIC + "@" + port.Segment)
			if port.Address.IsValid() {
				got.WriteString("=" + port.Address.String())
			}
		}
		got.WriteString("\n")
	}
	want := `office-1 eth0@office=192.168.7.10/24
office-2 eth0@office=192.168.7.12/24
island eth0@isolated
two eth0@dhcp eth1@office=192.168.7.11/24
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	const toml = `controllers = ["https://192.168.7.2:8966", "https://192.168.8.2:8966"]

[interface.eth0]
method = "none"

[interface.eth1]
method = "static"
address = ["192.168.7.11/24"]
`
	if p.Nodes[3].NetTOML != toml {
		t.Errorf("net.toml of two is\n%s\nwant\n%s", p.Nodes[3].NetTOML, toml)
	}
	if mac := p.Nodes[3].Ports[1].MAC; mac != "02:00:00:00:00:01" {
		t.Errorf("MAC is %s", mac)
	}
	if a, b := topology.MAC("x", "n", 0), topology.MAC("y", "n", 0); a == b || !strings.HasPrefix(a, "02:") {
		t.Errorf("MACs of two labs: %s, %s", a, b)
	}
}

func TestFull(t *testing.T) {
	top, err := topology.Parse("t.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	top.Nodes = top.Nodes[:2]
	if err := top.Spread(100000); err != nil {
		t.Fatal(err)
	}
	want := "t.yaml:16: nodes: office: segment office (192.168.7.10 to 192.168.7.12) has no address left for 49997 of 50000 nodes; want fewer nodes or a larger subnet"
	if _, err := top.Plan("x"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSpreadRefuses(t *testing.T) {
	for n, want := range map[int]string{
		0:  "0 nodes: want 1 or more, at most 100000",
		-3: "-3 nodes: want 1 or more, at most 100000",
		9:  "t.yaml:21: nodes: two has a MAC or an address, which is for one node; it cannot be 3 of 9 nodes",
	} {
		top, err := topology.Parse("t.yaml", []byte(good))
		if err != nil {
			t.Fatal(err)
		}
		if err := top.Spread(n); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestDefaultSpreads(t *testing.T) {
	for _, n := range []int{1, 6, 100, 500} {
		top, err := topology.Parse(topologies.DefaultFile, topologies.Default)
		if err != nil {
			t.Fatal(err)
		}
		if err := top.Spread(n); err != nil {
			t.Fatal(err)
		}
		p, err := top.Plan("default")
		if err != nil || len(p.Nodes) != n {
			t.Errorf("%d nodes: got %d, %v", n, len(p.Nodes), err)
		}
		macs := map[string]bool{}
		for _, m := range p.Nodes {
			macs[m.Ports[0].MAC] = true
		}
		if len(macs) != n {
			t.Errorf("%d nodes have %d MACs", n, len(macs))
		}
	}
}

// The schema and the reader must name the same keys.
func TestSchemaIsJSON(t *testing.T) {
	text, err := os.ReadFile("topology.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties map[string]any `json:"properties"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"ipv6", "segments", "acs", "nodes"} {
		if schema.Properties[key] == nil {
			t.Errorf("%s is not in the schema", key)
		}
	}
	if len(schema.Properties) != 4 {
		t.Errorf("the schema has %d keys, want 4", len(schema.Properties))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add(topologies.Default)
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("segments: &s\n- name: a\n  subnet: 0.0.0.0/8\nacs: *s\nnodes: *s\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		top, err := topology.Parse("f", text)
		if err != nil {
			return
		}
		if p, err := top.Plan("fuzz"); err == nil && len(p.ACs) == 0 {
			t.Error("a lab without an AC was accepted")
		}
	})
}
