// Package grid is what a scenario sees of a lab: nodes, segments, controllers,
// faults and time, the same at every fidelity.
//
//	sim    lab/sim: the production step functions in virtual time
//	netns  lab/real on namespaces: the real binaries
//	vm     lab/real on machines: the image that a stick boots
//
// A Grid promises that a fault is in force when Add returns, with what was
// measured of it; that HealAll ends every fault, also one that a process which
// has ended had added; and that Facts leaves out nothing that happened between
// two calls and that it can see at all. It judges nothing: lab/invariant does.
// It is not safe for concurrent use.
package grid

import (
	"context"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/topology"
)

// Grid is a lab that is up, at some fidelity.
type Grid interface {
	// Fidelity is sim, netns or vm.
	Fidelity() string
	// Plan is what the grid consists of.
	Plan() *topology.Plan

	// Elapsed is the grid's own time, virtual or real, since it was brought up.
	Elapsed() time.Duration
	// Wait lets the grid's time pass.
	Wait(ctx context.Context, d time.Duration) error
	// Eventually lets time pass until holds says true of all nodes, or until
	// within has passed: then the error says what was waited for, and where
	// the nodes are. A real grid may take slack times as long before it fails.
	Eventually(ctx context.Context, within time.Duration, what string, holds func([]Node) bool) error

	// Nodes is where every node is now, in the order of the plan.
	Nodes(ctx context.Context) ([]Node, error)
	// Boot gives power to nodes that were held back, to all if none are named.
	Boot(ctx context.Context, names ...string) error
	// Approve lets a node in that waits for it.
	Approve(ctx context.Context, name string) error
	// Rotate begins to replace the keys of a kind (g8os rotate), of all who have
	// one; Rotating says how many still hold the old one, 0 when it is over.
	Rotate(ctx context.Context, kind string) error
	Rotating(ctx context.Context, kind string) (int, error)
	// Run has an AC start a job on a node, which lasts for a time and then says
	// how often it has been started. The id is the job's own, and makes it
	// idempotent. Facts tells what becomes of it.
	Run(ctx context.Context, node, id string, lasts time.Duration) error

	// Add puts a fault into force and returns once it was confirmed. A fault that
	// Check refuses changes nothing.
	Add(ctx context.Context, f fault.Fault) (Applied, error)
	// Heal ends a fault; ErrNoFault when there is none with this id.
	Heal(ctx context.Context, id string) error
	// HealAll ends all that are in force.
	HealAll(ctx context.Context) error
	// Faults lists those in force, oldest first.
	Faults(ctx context.Context) ([]Applied, error)

	// Facts is what invariants are checked against.
	Facts(ctx context.Context) (Facts, error)
	// History is what has happened so far: phases, faults, what was noted.
	History() []Event

	// Close heals what is in force and lets go of the grid; one that was brought
	// up for the caller is taken down.
	Close(ctx context.Context) error
}

// Applied is a fault that was put into force.
type Applied struct {
	ID    string      `json:"id"` // f1, f2, …
	Fault fault.Fault `json:"fault"`
	// Asked and InForce are when it was asked for and when it was confirmed;
	// Healed when it ended, zero before. All are grid time.
	Asked    time.Duration `json:"asked_ns"`
	InForce  time.Duration `json:"in_force_ns"`
	Healed   time.Duration `json:"healed_ns,omitempty"`
	Measured Measured      `json:"measured"`
}

// Measured is how a fault was confirmed, in numbers where it has some. What a
// kind has no number for stays zero.
type Measured struct {
	How     string         `json:"how"` // such as "4 of 4 frames dropped", "process 4711 is stopped"
	Percent float64        `json:"percent,omitempty"`
	Delay   fault.Duration `json:"delay,omitempty"`
	Rate    fault.Rate     `json:"rate,omitempty"`
	Packets int            `json:"packets,omitempty"` // that were sent to measure it
}
