package scenarios

// The grids of the specs. Addresses live in namespaces of each spec's own lab,
// so all may use the same ones.
const (
	// officeOnly is the configured way: one node with a static address.
	officeOnly = `
segments:
  - {name: office, subnet: 192.168.7.0/24}
acs:
  - {name: ac1, legs: [{segment: office, address: 192.168.7.2}]}
nodes:
  - {name: node, nics: [{segment: office, method: static}]}
`
	// isolatedOnly is fallback: no DHCP, the AC at 10.254.254.254.
	isolatedOnly = `
segments:
  - name: isolated
acs:
  - {name: ac1, legs: [{segment: isolated}]}
nodes:
  - {name: node, nics: [{segment: isolated}]}
`
	// scripted is a segment whose DHCP servers are actors of the spec; the AC
	// is there at 192.168.8.2 and as fallback. net.toml does not mention the NIC:
	// what DHCP lends it is to be given back.
	scripted = `
segments:
  - {name: dhcp, subnet: 192.168.8.0/24}
acs:
  - {name: ac1, legs: [{segment: dhcp, address: 192.168.8.2}]}
nodes:
  - {name: node, nics: [{segment: dhcp}]}
`
)
