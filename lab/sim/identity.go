package sim

import (
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/topology"
)

// identity is the record that an AC makes of a machine: it is named after the
// least of its MACs, the first that a claim lists.
func identity(m topology.Machine) (api.NodeID, error) {
	least := m.Ports[0].MAC
	for _, p := range m.Ports {
		least = min(least, p.MAC)
	}
	return api.IDOf(least)
}
