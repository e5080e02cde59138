package sim

import (
	"fmt"
	"strings"

	"github.com/g8os/g8os/lab/topology"
)

// perSegment is how many nodes Scale puts on a segment: the fallback network
// has 253 addresses, and a search among them stays short while half are free.
const perSegment = 120

// Scale is a topology with n nodes, as ScaleYAML writes it.
func Scale(n, acs int) (*topology.Topology, error) {
	text, err := ScaleYAML(n, acs)
	if err != nil {
		return nil, err
	}
	return topology.Parse(fmt.Sprintf("%d nodes", n), []byte(text))
}

// ScaleYAML writes a topology file with n nodes, spread over as many segments as
// they need: a third with addresses in net.toml, a third with a DHCP server, a
// third with neither. acs ACs have a leg on each.
func ScaleYAML(n, acs int) (string, error) {
	if n < 1 || acs < 1 {
		return "", fmt.Errorf("%d nodes and %d ACs: want at least one of each", n, acs)
	}
	var segments, nodes, legs strings.Builder
	count := max((n+perSegment-1)/perSegment, min(n, 3))
	for i := range count {
		net := fmt.Sprintf("172.%d.%d", 16+i/250, i%250)
		of := n / count
		if i < n%count {
			of++
		}
		segment := fmt.Sprintf("seg-%d", i+1)
		fmt.Fprintf(&legs, "{segment: %s, address: %s.ADDR}, ", segment, net)
		switch i % 3 {
		case 0:
			fmt.Fprintf(&segments, "  - {name: %s, subnet: %s.0/24, static: {first: %s.20, last: %s.250}}\n", segment, net, net, net)
			fmt.Fprintf(&nodes, "  - {name: office%d, count: %d, nics: [{segment: %s, method: static}]}\n", i+1, of, segment)
		case 1:
			fmt.Fprintf(&segments, "  - {name: %s, subnet: %s.0/24, dhcp: {first: %s.20, last: %s.250, lease: 10m}}\n", segment, net, net, net)
			fmt.Fprintf(&nodes, "  - {name: dhcp%d, count: %d, nics: [{segment: %s}]}\n", i+1, of, segment)
		default:
			fmt.Fprintf(&segments, "  - {name: %s, subnet: %s.0/24}\n", segment, net)
			fmt.Fprintf(&nodes, "  - {name: isolated%d, count: %d, nics: [{segment: %s}]}\n", i+1, of, segment)
		}
	}
	var controllers strings.Builder
	for i := range acs {
		fmt.Fprintf(&controllers, "  - {name: ac%d, policy: open, legs: [%s]}\n", i+1,
			strings.TrimSuffix(strings.ReplaceAll(legs.String(), "ADDR", fmt.Sprint(2+i)), ", "))
	}
	return "segments:\n" + segments.String() + "acs:\n" + controllers.String() + "nodes:\n" + nodes.String(), nil
}
