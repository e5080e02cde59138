// Package topologies carries the topology files that come with the lab, so
// that g8lab works from any directory. It promises that Default is the text of
// default.yaml; it reads and checks nothing.
package topologies

import _ "embed"

// Default is the grid that comes up when no topology is given.
//
//go:embed default.yaml
var Default []byte

// DefaultFile names it in messages.
const DefaultFile = "lab/topologies/default.yaml"
