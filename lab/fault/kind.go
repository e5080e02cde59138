package fault

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	ac "github.com/g8os/g8os/ac-mock/fault"
)

// Class says what a kind of fault happens to.
type Class string

// The classes.
const (
	Link    Class = "link"    // frames between From and To
	Segment Class = "segment" // On is a segment
	Node    Class = "node"    // On is a node
	AC      Class = "ac"      // On is an AC; empty: all
)

// The kinds that code speaks of. Those of an AC that is told to misbehave bear
// the names of ac-mock/fault.
const (
	Partition = "partition"
	Loss      = "loss"
	Delay     = "delay"
	Duplicate = "duplicate"
	Reorder   = "reorder"
	Corrupt   = "corrupt"
	Throttle  = "rate"

	Cable      = "cable"
	Kill       = "kill"
	Pause      = "pause"
	Power      = "power"
	Clock      = "clock"
	DiskFull   = "disk-full"
	ReadOnly   = "disk-read-only"
	DamageSlot = "damage-slots"
	DamageCert = "damage-certificate"
	Move       = "move"
	Thief      = "thief"
	Clone      = "clone"
	Impostor   = "impostor"

	DHCPSilent      = "dhcp-silent"
	DHCPSlow        = "dhcp-slow"
	DHCPNak         = "dhcp-nak"
	DHCPOfferOnly   = "dhcp-offer-only"
	DHCPNowhere     = "dhcp-nowhere"
	DHCPWrongSubnet = "dhcp-wrong-subnet"
	DHCPExhausted   = "dhcp-exhausted"
	DHCPNoRenew     = "dhcp-no-renew"
	DHCPInUse       = "dhcp-in-use"
	DHCPForeign     = "dhcp-foreign"

	Squatter = "squatter"
	Stranger = "stranger"

	ACKill    = "ac-kill"
	ACPause   = "ac-pause"
	ACClock   = "ac-clock"
	StoreLost = "store-lost"
	StoreFull = "store-full"
)

// Kind describes one kind of fault to an operator and to Check.
type Kind struct {
	Name  string
	Class Class
	Doc   string
	Needs []string // fields that must be given
	Takes []string // fields that may be given besides
	// Once means that it happens at a moment and nothing is there to heal: the
	// grid has to cope by itself.
	Once bool
	// Not says at which fidelities it cannot be had, and why.
	Not map[string]string
}

var (
	link     = []string{"from", "to", "both"}
	inACs    = both("the store is in the ACs themselves: with three of them, ac-kill on two takes its quorum")
	noQuota  = both("the quota of a real store is gigabytes")
	oneClock = both("an AC of the lab has the host's clock")
	noDisk   = map[string]string{"netns": "nodes share the host's file system"}
	pastOnly = map[string]string{"vm": "a machine's clock is set when it gets power"}
)

var (
	twice  = both("a second machine with a MAC has to be in the topology")
	itself = both("g8os_core asks for nobody but itself")
)

var kinds = slices.Concat([]Kind{
	{Name: Partition, Class: Link, Doc: "frames are dropped", Takes: link},
	{Name: Loss, Class: Link, Doc: "some frames are dropped", Needs: []string{"percent"}, Takes: link},
	{Name: Delay, Class: Link, Doc: "frames arrive later; with jitter, by a varying time", Needs: []string{"delay"}, Takes: append([]string{"jitter"}, link...)},
	{Name: Duplicate, Class: Link, Doc: "some frames arrive twice", Needs: []string{"percent"}, Takes: link},
	{Name: Reorder, Class: Link, Doc: "some frames are overtaken by later ones (held back by delay)", Needs: []string{"percent"}, Takes: append([]string{"delay"}, link...)},
	{Name: Corrupt, Class: Link, Doc: "a bit is flipped in some frames", Needs: []string{"percent"}, Takes: link},
	{Name: Throttle, Class: Link, Doc: "no more than a rate gets through", Needs: []string{"rate"}, Takes: link},

	{Name: Cable, Class: Node, Doc: "a cable is pulled", Needs: []string{"on"}, Takes: []string{"nic"}},
	{Name: Kill, Class: Node, Doc: "g8os_core is killed (SIGKILL); healed, it is started again", Needs: []string{"on"}},
	{Name: Pause, Class: Node, Doc: "g8os_core is frozen (netns) or the machine is (vm)", Needs: []string{"on"}},
	{Name: Power, Class: Node, Doc: "the power is cut; healed, it is back", Needs: []string{"on"}},
	{Name: Clock, Class: Node, Doc: "the clock jumps by a time", Needs: []string{"on", "by"}, Not: pastOnly},
	{Name: DiskFull, Class: Node, Doc: "the disk is full", Needs: []string{"on"}, Not: noDisk},
	{Name: ReadOnly, Class: Node, Doc: "the disk is read-only", Needs: []string{"on"}},
	{Name: DamageSlot, Class: Node, Doc: "a copy of the key-slot file is overwritten", Needs: []string{"on"}, Once: true},
	{Name: DamageCert, Class: Node, Doc: "the client certificate is overwritten", Needs: []string{"on"}, Once: true},
	{Name: Move, Class: Node, Doc: "a NIC is plugged into another segment (to)", Needs: []string{"on", "to"}, Takes: []string{"nic"}},
	{Name: Thief, Class: Node, Doc: "a second machine has the node's MAC, and no disk of its", Needs: []string{"on"}, Takes: []string{"to"}, Not: twice},
	{Name: Clone, Class: Node, Doc: "a second machine has the node's MAC and a copy of its disk", Needs: []string{"on"}, Takes: []string{"to"}, Not: twice},
	{Name: Impostor, Class: Node, Doc: "a node asks, with its own key, for what belongs to another node (to)", Needs: []string{"on", "to"}, Once: true, Not: itself},

	{Name: DHCPSilent, Class: Segment, Doc: "the DHCP server does not answer", Needs: []string{"on"}},
	{Name: DHCPSlow, Class: Segment, Doc: "the DHCP server answers late", Needs: []string{"on", "delay"}},
	{Name: DHCPNak, Class: Segment, Doc: "the DHCP server refuses what it offered", Needs: []string{"on"}},
	{Name: DHCPOfferOnly, Class: Segment, Doc: "the DHCP server offers and never acknowledges", Needs: []string{"on"}},
	{Name: DHCPNowhere, Class: Segment, Doc: "the DHCP server's addresses lead nowhere", Needs: []string{"on"}},
	{Name: DHCPWrongSubnet, Class: Segment, Doc: "the DHCP server's mask and router are wrong", Needs: []string{"on"}},
	{Name: DHCPExhausted, Class: Segment, Doc: "the DHCP server has no address left", Needs: []string{"on"}},
	{Name: DHCPNoRenew, Class: Segment, Doc: "leases are not renewed", Needs: []string{"on"}},
	{Name: DHCPInUse, Class: Segment, Doc: "the DHCP server offers an address that is in use", Needs: []string{"on", "address"}},
	{Name: DHCPForeign, Class: Segment, Doc: "a second DHCP server, whose addresses lead nowhere, answers first", Needs: []string{"on"}},

	{Name: Squatter, Class: Segment, Doc: "somebody has an address and defends it", Needs: []string{"on", "address"}},
	{Name: Stranger, Class: Segment, Doc: "somebody who is no AC answers on 10.254.254.254", Needs: []string{"on"}},

	{Name: ACKill, Class: AC, Doc: "g8os_ac is killed (SIGKILL); healed, it is started again", Takes: []string{"on"}},
	{Name: ACPause, Class: AC, Doc: "g8os_ac is frozen: connections stay open and nobody answers", Takes: []string{"on"}},
	{Name: ACClock, Class: AC, Doc: "the AC's clock jumps by a time", Needs: []string{"by"}, Takes: []string{"on"}, Not: oneClock},
	{Name: StoreLost, Class: AC, Doc: "the store has lost its quorum: nothing can be read or written", Not: inACs},
	{Name: StoreFull, Class: AC, Doc: "the store's quota is used up: nothing can be written", Not: noQuota},
}, armed())

// both is a reason that holds for real daemons, whatever nodes are.
func both(why string) map[string]string { return map[string]string{"netns": why, "vm": why} }

// armed are the faults that an AC has by itself.
func armed() []Kind {
	var all []Kind
	for _, k := range ac.Kinds() {
		own := Kind{Name: k.Name, Class: AC, Doc: k.Doc, Takes: []string{"on"}, Once: k.Name == ac.Revoke}
		if k.PerNode {
			own.Takes = append(own.Takes, "nodes")
		}
		all = append(all, own)
	}
	return all
}

// Kinds lists every kind, by class and then as one would read them.
func Kinds() []Kind { return slices.Clone(kinds) }

// Armed says whether a kind is one that an AC has by itself, armed by name.
func Armed(kind string) bool {
	return slices.ContainsFunc(ac.Kinds(), func(k ac.Kind) bool { return k.Name == kind })
}

// ErrUnknown is wrapped when a kind, a machine or a segment does not exist.
var ErrUnknown = errors.New("no such thing")

// Find returns a kind, or an error that wraps ErrUnknown and names those there
// are.
func Find(name string) (Kind, error) {
	var names []string
	for _, k := range kinds {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Kind{}, fmt.Errorf("fault %q: %w; there are %s", name, ErrUnknown, strings.Join(names, ", "))
}
