package fabric

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// datapath picks the kernel's datapath where its module is loaded or loadable.
func datapath(ctx context.Context) string {
	const loaded = "/sys/module/openvswitch"
	if _, err := os.Stat(loaded); err != nil {
		_ = exec.CommandContext(ctx, "modprobe", "-q", "openvswitch").Run()
	}
	if _, err := os.Stat(loaded); err == nil {
		return "system"
	}
	return "netdev"
}

// Connect makes the bridges of segments and attaches ports to them, all in one
// transaction; bridges that are there stay, ports are made anew. Each port
// carries the lab's mark.
func (s *Switch) Connect(ctx context.Context, lab string, segments []string, ports []Port) error {
	if err := s.Disconnect(ctx, ports); err != nil {
		return err
	}
	kind := datapath(ctx)
	args := []string{"ovs-vsctl", "--db=unix:" + s.socket(), "--timeout=30"}
	for _, seg := range segments {
		br := Bridge(seg)
		args = append(args, "--", "--may-exist", "add-br", br, "--", "set", "bridge", br, "datapath_type="+kind,
			"fail_mode=secure", "other_config:disable-in-band=true")
	}
	for _, p := range ports {
		args = append(args, "--", "add-port", Bridge(p.Segment), p.Name(), "--", "set", "interface", p.Name(),
			"external_ids:g8lab="+lab, "external_ids:segment="+p.Segment, "external_ids:machine="+p.Machine,
			"external_ids:nic="+p.NIC, `external_ids:mac="`+p.MAC+`"`)
	}
	if _, err := s.run(ctx, nil, args...); err != nil {
		return fmt.Errorf("connect %d segments and %d ports: %w", len(segments), len(ports), err)
	}
	for _, seg := range segments {
		if _, err := s.run(ctx, nil, "ovs-ofctl", "add-flow", s.mgmt(seg), "priority=0,actions=NORMAL"); err != nil {
			return fmt.Errorf("segment %s: %w", seg, err)
		}
	}
	if err := s.confirm(ctx, ports); err != nil {
		return err
	}
	return s.raise(ports)
}

// raise sets the switch's ends of cables up: a switch that lets go of an old
// cable gives the name its former flags back, and a new cable may have it by now.
func (s *Switch) raise(ports []Port) error {
	for _, p := range ports {
		if _, err := s.setLink(p, true); err != nil {
			return err
		}
	}
	return nil
}

// notice returns when the switch knows of the carrier of a port: until then it
// sends nothing through one that the kernel has up already.
func (s *Switch) notice(ctx context.Context, p Port, carrier bool) error {
	state := map[bool]string{true: "up", false: "down"}[carrier]
	_, err := s.run(ctx, nil, "ovs-vsctl", "--db=unix:"+s.socket(), "--timeout=10",
		"wait-until", "interface", p.Name(), "link_state="+state)
	if err != nil {
		return fmt.Errorf("the switch does not see that the cable of %s of %s is %s: %w", p.NIC, p.Machine, state, err)
	}
	return nil
}

// confirm reads back that ports are attached: ovs-vsctl exits 0 even when one
// could not be made.
func (s *Switch) confirm(ctx context.Context, ports []Port) error {
	attached, err := s.Ports(ctx)
	if err != nil {
		return err
	}
	there := map[Port]Attached{}
	for _, a := range attached {
		there[a.Port] = a
	}
	for _, p := range ports {
		if a, ok := there[p]; !ok || a.Problem != "" || a.Number <= 0 {
			return fmt.Errorf("port %s of segment %s is not attached; the switch says: %q", p.Name(), p.Segment, a.Problem)
		}
	}
	return nil
}

// Disconnect detaches those of the ports that are attached, by one transaction
// of its own: the switch holds on to the old cable when a port goes and comes
// by the same one.
func (s *Switch) Disconnect(ctx context.Context, ports []Port) error {
	if len(ports) == 0 {
		return nil
	}
	attached, err := s.Ports(ctx)
	if err != nil {
		return err
	}
	args := []string{"ovs-vsctl", "--db=unix:" + s.socket(), "--timeout=30"}
	none := len(args)
	for _, a := range attached {
		if slices.Contains(ports, a.Port) {
			args = append(args, "--", "--if-exists", "del-port", a.Name())
		}
	}
	if len(args) == none {
		return nil
	}
	if _, err := s.run(ctx, nil, args...); err != nil {
		return fmt.Errorf("detach ports: %w", err)
	}
	return nil
}

// mgmt is the OpenFlow socket of a segment's bridge.
func (s *Switch) mgmt(segment string) string {
	return "unix:" + s.dir + "/" + Bridge(segment) + ".mgmt"
}

// Attached is a port as the switch sees it.
type Attached struct {
	Port
	Number  int    // its OpenFlow port; 0 or less: it has none
	Problem string // why, in the switch's words
}

// Ports lists the lab's ports, also those whose machine has lost power.
func (s *Switch) Ports(ctx context.Context) ([]Attached, error) {
	out, err := s.run(ctx, nil, "ovs-vsctl", "--db=unix:"+s.socket(), "--format=json",
		"--columns=name,ofport,error,external_ids", "list", "Interface")
	if err != nil {
		return nil, fmt.Errorf("list ports: %w", err)
	}
	return parsePorts([]byte(out))
}

// parsePorts reads the table form of ovs-vsctl's JSON (RFC 7047, section 5.1).
func parsePorts(text []byte) ([]Attached, error) {
	var table struct {
		Data [][]json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(text, &table); err != nil {
		return nil, fmt.Errorf("list ports: %w", err)
	}
	var all []Attached
	for _, row := range table.Data {
		if len(row) != 4 {
			return nil, fmt.Errorf("list ports: a row has %d columns, want 4", len(row))
		}
		var a Attached
		_ = json.Unmarshal(row[1], &a.Number) // an empty set until it is made
		_ = json.Unmarshal(row[2], &a.Problem)
		ids := parseMap(row[3])
		a.Port = Port{Machine: ids["machine"], NIC: ids["nic"], MAC: ids["mac"], Segment: ids["segment"]}
		if a.Machine != "" {
			all = append(all, a)
		}
	}
	return all, nil
}

// parseMap reads ["map",[["key","value"],…]].
func parseMap(raw json.RawMessage) map[string]string {
	var pair [2]json.RawMessage
	var entries [][2]string
	m := map[string]string{}
	if json.Unmarshal(raw, &pair) != nil || json.Unmarshal(pair[1], &entries) != nil {
		return m
	}
	for _, e := range entries {
		m[e[0]] = strings.Trim(e[1], `"`)
	}
	return m
}
