// Package chaos makes schedules of faults: from a named plan, such as ac-outage
// or dhcp-flap, or by swarm testing, from a seed alone.
//
// It promises that the same plan, grid and seed give the same schedule; that
// every fault in it passes fault.Check; that two faults at once do not
// contradict each other; and that a kind that the grid cannot have is left out
// and named. Each draw has a random stream of its own, by what is drawn and for
// which fault, so that leaving a kind out moves no other. It runs nothing.
package chaos

import (
	"errors"
	"fmt"
	"strings"
	"time"

	ac "github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/lab/fault"
)

// Plan says what kinds of faults come, and how often one compared with another.
type Plan struct {
	Name, Doc string
	Kinds     []Weighted
	// Crowd: a fault of a node happens to several at once, now and then to all.
	Crowd bool
}

// Weighted is a kind and how often it is drawn, compared with the others.
type Weighted struct {
	Kind   string
	Weight int
}

// even gives kinds the same weight.
func even(kinds ...string) []Weighted {
	var all []Weighted
	for _, k := range kinds {
		all = append(all, Weighted{k, 1})
	}
	return all
}

var dhcp = []string{
	fault.DHCPSilent, fault.DHCPSlow, fault.DHCPNak, fault.DHCPOfferOnly, fault.DHCPNowhere, fault.DHCPWrongSubnet,
	fault.DHCPExhausted, fault.DHCPNoRenew, fault.DHCPInUse, fault.DHCPForeign,
}

// plans are all but everything, which has every kind there is.
var plans = []Plan{
	{Name: "ac-outage", Doc: "the AC is killed, freezes, resets connections or never answers",
		Kinds: even(fault.ACKill, fault.ACPause, ac.Outage, ac.HangAfterAccept, fault.StoreLost)},
	{Name: "dhcp-flap", Doc: "the DHCP server fails in every way it can", Kinds: even(dhcp...)},
	{Name: "partition", Doc: "machines do not hear each other, one way or both; cables are pulled",
		Kinds: []Weighted{{fault.Partition, 3}, {fault.Cable, 1}}},
	{Name: "power", Doc: "nodes lose power, are killed or freeze: one, some, all at once", Crowd: true,
		Kinds: []Weighted{{fault.Power, 3}, {fault.Kill, 2}, {fault.Pause, 1}}},
	{Name: "collide", Doc: "addresses are taken: by squatters, by leases of what is in use, by nodes that move and partitions that heal",
		Kinds: []Weighted{{fault.Squatter, 4}, {fault.DHCPInUse, 2}, {fault.Move, 2}, {fault.Partition, 1}, {fault.Power, 1}}},
	{Name: "lossy", Doc: "links lose, delay, double, reorder, corrupt and throttle",
		Kinds: []Weighted{{fault.Loss, 3}, {fault.Delay, 3}, {fault.Duplicate, 1}, {fault.Reorder, 1}, {fault.Corrupt, 1}, {fault.Throttle, 1}}},
	{Name: "restart-storm", Doc: "the AC and crowds of nodes are killed and come back at once", Crowd: true,
		Kinds: []Weighted{{fault.Kill, 2}, {fault.Power, 1}, {fault.ACKill, 2}, {ac.Outage, 1}}},
	{Name: "identity", Doc: "certificates, key slots, clocks and the AC's own identity are damaged; strangers pose as an AC",
		Kinds: even(fault.DamageSlot, fault.DamageCert, fault.Clock, fault.Stranger, fault.Thief, fault.Impostor, ac.Revoke, ac.RefuseUnlock, ac.ExpiredCert, ac.WrongCA, ac.ClockSkew)},
}

// Plans lists all named plans.
func Plans() []Plan {
	everything := Plan{Name: "everything", Doc: "every kind of fault there is"}
	for _, k := range fault.Kinds() {
		everything.Kinds = append(everything.Kinds, Weighted{k.Name, 1})
	}
	return append(append([]Plan(nil), plans...), everything)
}

// ErrUnknown is wrapped when no plan has the name that was given.
var ErrUnknown = errors.New("no such plan")

// Find returns the plan of a name.
func Find(name string) (Plan, error) {
	var names []string
	for _, p := range Plans() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Plan{}, fmt.Errorf("chaos %q: %w; there are %s", name, ErrUnknown, strings.Join(names, ", "))
}

// Options of a schedule.
type Options struct {
	Seed  uint64
	Every time.Duration // a fault begins about so often
	For   time.Duration // and no longer than this; the last ends by then
}

// maxFaults bounds a schedule: more than a run can tell apart.
const maxFaults = 100000

// Check says whether the times mean something, whatever the grid.
func (o Options) Check() error {
	switch {
	case o.Every < time.Second:
		return fmt.Errorf("chaos: every %s: want 1s or more", o.Every)
	case o.For < o.Every:
		return fmt.Errorf("chaos: for %s: want %s or more, in which one fault begins", o.For, o.Every)
	case o.For/o.Every > maxFaults:
		return fmt.Errorf("chaos: every %s for %s: more than %d faults", o.Every, o.For, maxFaults)
	}
	return nil
}
