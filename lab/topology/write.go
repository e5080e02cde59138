package topology

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// The file that YAML writes. Its fields are those of the file that Parse reads.
type (
	written struct {
		IPv6     bool             `yaml:"ipv6,omitempty"`
		Segments []writtenSegment `yaml:"segments"`
		ACs      []writtenAC      `yaml:"acs"`
		Nodes    []writtenNode    `yaml:"nodes"`
	}
	writtenSegment struct {
		Name   string            `yaml:"name"`
		Subnet string            `yaml:"subnet,omitempty"`
		Static map[string]string `yaml:"static,omitempty,flow"`
		DHCP   *writtenDHCP      `yaml:"dhcp,omitempty"`
	}
	writtenDHCP struct {
		First   string   `yaml:"first"`
		Last    string   `yaml:"last"`
		Lease   string   `yaml:"lease"`
		Gateway string   `yaml:"gateway,omitempty"`
		DNS     []string `yaml:"dns,omitempty,flow"`
	}
	writtenAC struct {
		Name            string              `yaml:"name"`
		Policy          string              `yaml:"policy"`
		Fallback        *bool               `yaml:"fallback,omitempty"`
		Layers          bool                `yaml:"layers,omitempty"`
		CertificateLife string              `yaml:"certificate_life,omitempty"`
		Legs            []map[string]string `yaml:"legs,flow"`
	}
	writtenNode struct {
		Name     string              `yaml:"name"`
		Fidelity string              `yaml:"fidelity"`
		NICs     []map[string]string `yaml:"nics,flow"`
		VM       *writtenVM          `yaml:"vm,omitempty"`
		TPM      bool                `yaml:"tpm,omitempty"`
		NetTOML  string              `yaml:"net_toml,omitempty"`
		Clock    string              `yaml:"clock,omitempty"`
	}
	writtenVM struct {
		Memory   string   `yaml:"memory"`
		CPUs     int      `yaml:"cpus"`
		Boot     string   `yaml:"boot"`
		Firmware string   `yaml:"firmware,omitempty"`
		State    []string `yaml:"state,flow"`
		Tools    bool     `yaml:"tools,omitempty"`
		Cold     bool     `yaml:"cold,omitempty"`
		Append   string   `yaml:"append,omitempty"`
	}
)

// YAML writes a topology file whose plan, in a lab of whatever name, has the
// same nodes with the same MACs, addresses and net.toml, each a group of its own.
func (p *Plan) YAML() ([]byte, error) {
	w := written{IPv6: p.IPv6}
	for _, s := range p.Segments {
		w.Segments = append(w.Segments, writeSegment(s))
	}
	for _, m := range p.ACs {
		w.ACs = append(w.ACs, writeAC(m))
	}
	for _, m := range p.Nodes {
		w.Nodes = append(w.Nodes, writeNode(m))
	}
	text, err := yaml.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("write the topology of lab %s: %w", p.Lab, err)
	}
	return text, nil
}

func writeSegment(s Segment) writtenSegment {
	w := writtenSegment{Name: s.Name}
	if s.Subnet.IsValid() {
		w.Subnet = s.Subnet.String()
	}
	if s.Static != nil && s.Static.First.IsValid() {
		w.Static = map[string]string{"first": s.Static.First.String(), "last": s.Static.Last.String()}
	}
	if d := s.DHCP; d != nil {
		w.DHCP = &writtenDHCP{First: d.First.String(), Last: d.Last.String(), Lease: d.Lease.String()}
		if d.Gateway.IsValid() {
			w.DHCP.Gateway = d.Gateway.String()
		}
		for _, a := range d.DNS {
			w.DHCP.DNS = append(w.DHCP.DNS, a.String())
		}
	}
	return w
}

func writeAC(m Machine) writtenAC {
	w := writtenAC{Name: m.Name, Policy: m.AC.Policy, Fallback: m.AC.Fallback, Layers: m.AC.Layers}
	if m.AC.CertificateLife > 0 {
		w.CertificateLife = m.AC.CertificateLife.String()
	}
	for _, q := range m.Ports {
		w.Legs = append(w.Legs, writePort(q, false))
	}
	return w
}

func writeNode(m Machine) writtenNode {
	w := writtenNode{Name: m.Name, Fidelity: m.Fidelity, TPM: m.TPM, NetTOML: m.NetTOML}
	for _, q := range m.Ports {
		w.NICs = append(w.NICs, writePort(q, true))
	}
	if m.Clock != 0 {
		w.Clock = m.Clock.String()
	}
	if v := m.VM; v != nil {
		w.VM = &writtenVM{Memory: mebibytes(v.Memory), CPUs: v.CPUs, Boot: v.Boot, Firmware: v.Firmware, Tools: v.Tools, Cold: v.Cold, Append: v.Append}
		for _, s := range v.State {
			w.VM.State = append(w.VM.State, mebibytes(s))
		}
	}
	return w
}

func mebibytes(n int) string { return fmt.Sprintf("%dMiB", n) }

func writePort(q Port, nic bool) map[string]string {
	w := map[string]string{"segment": q.Segment}
	if q.Address.IsValid() {
		w["address"] = q.Address.Addr().String()
	}
	if nic {
		w["mac"] = q.MAC
		if q.Method != "" {
			w["method"] = q.Method
		}
	}
	return w
}
