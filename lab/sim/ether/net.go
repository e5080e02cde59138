// Package ether is the network of a simulated grid: segments, the NICs that are
// plugged into them, and what kernels do by themselves, which is to answer ARP
// and to carry connections.
//
//	ARP, DHCP   one frame, which may be lost
//	Conn        messages in order, sent again until they arrive (RFC 6298)
//
// It promises that what a fault does to frames it does to each of them alike,
// with a random stream of its own for every directed pair and fault, and that
// nothing depends on the order of a map. It does not fragment, route or switch:
// whoever has an address of a segment is reached on it.
package ether

import (
	"slices"
	"time"

	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/impair/link"
	"github.com/g8os/g8os/lab/sim/engine"
)

// How long a frame takes on a segment where nothing is wrong: cable, switch and
// two kernels, as measured in a lab of namespaces.
const (
	transit = 80 * time.Microsecond
	wobble  = 60 * time.Microsecond
)

// Net is all segments of a grid.
type Net struct {
	e     *engine.Engine
	hosts []*Host
	rules []*rule // faults of links that are in force, oldest first
}

// New makes an empty Net.
func New(e *engine.Engine) *Net { return &Net{e: e} }

// Host is a machine with a kernel. Its fields are the owner's to read.
type Host struct {
	Name    string
	Powered bool
	NICs    []*NIC
	cards   int // that it ever had
	net     *Net
	stream  engine.Stream
	accept  func(*End) // nil: nobody listens
	ends    []*End     // of the process that runs, in no order that matters
	boots   int        // how often the power was cut
}

// Host adds a machine, without power.
func (n *Net) Host(name string) *Host {
	h := &Host{Name: name, net: n, stream: n.e.Stream("host " + name)}
	n.hosts = append(n.hosts, h)
	return h
}

// rule is a fault of links, with a link for each directed pair that it met.
type rule struct {
	id    string
	fault fault.Fault
	spec  link.Spec
	links map[pair]*link.Link
}

type pair struct{ from, to *Host }

// Impair puts a fault of class link into force, under an id.
func (n *Net) Impair(id string, f fault.Fault) error {
	spec, err := link.FromFault(f)
	if err != nil {
		return err
	}
	n.rules = append(n.rules, &rule{id: id, fault: f, spec: spec, links: map[pair]*link.Link{}})
	return nil
}

// Mend ends one.
func (n *Net) Mend(id string) {
	n.rules = slices.DeleteFunc(n.rules, func(r *rule) bool { return r.id == id })
}

func (r *rule) covers(from, to string) bool {
	one := func(from, to string) bool {
		return (r.fault.From == "" || r.fault.From == from) && (r.fault.To == "" || r.fault.To == to)
	}
	return one(from, to) || r.fault.Both && one(to, from)
}

// link is that of a directed pair. Its stream is its own, so that another fault
// or pair does not move what happens here.
func (r *rule) link(n *Net, from, to *Host) *link.Link {
	l := r.links[pair{from, to}]
	if l == nil {
		l = link.New(r.spec, n.e.Seed(), engine.Hash(r.id+" "+from.Name+" "+to.Name))
		r.links[pair{from, to}] = l
	}
	return l
}

// send lets a frame go from one NIC to another. arrive is called for each copy
// of it that gets there whole; ok is false when the cable or the power at the
// other end is gone by then. Send says how many copies are on their way.
func (n *Net) send(from, to *NIC, size int, arrive func(ok bool)) (copies int) {
	if len(n.rules) == 0 {
		if n.sendOne(from, to, func() { arrive(from.reaches(to)) }) {
			return 1
		}
		return 0
	}
	if !from.Carrier() || from.segment != to.segment {
		return 0
	}
	base := from.Host.transit()
	for _, late := range n.impaired(from.Host, to.Host, size) {
		copies++
		n.e.After(base+late, func() { arrive(from.reaches(to)) })
	}
	return copies
}

// sendOne lets a frame go where no fault of links is in force, and says whether
// it is on its way; landed is called when it is at the other end.
func (n *Net) sendOne(from, to *NIC, landed func()) bool {
	if !from.Carrier() || from.segment != to.segment {
		return false
	}
	n.e.After(from.Host.transit(), landed)
	return true
}

// transit is how long a frame of the host takes.
func (h *Host) transit() time.Duration {
	return transit + time.Duration(h.stream.Int64N(int64(wobble)))
}

// reaches says whether a frame that is at the other end gets in there.
func (x *NIC) reaches(to *NIC) bool { return to.Carrier() && x.segment == to.segment }

// impaired passes a frame through every fault that covers its way, and returns
// how late each copy is. A copy that was corrupted is dropped by whoever checks
// its checksum.
func (n *Net) impaired(from, to *Host, size int) []time.Duration {
	copies := []time.Duration{0}
	for _, r := range n.rules {
		if !r.covers(from.Name, to.Name) {
			continue
		}
		if r.spec.Dead() {
			return nil
		}
		l := r.link(n, from, to)
		var through []time.Duration
		for _, late := range copies {
			for _, d := range l.Send(size, n.e.Now()+late) {
				if !d.Corrupt {
					through = append(through, d.At-n.e.Now())
				}
			}
		}
		copies = through
	}
	return copies
}
