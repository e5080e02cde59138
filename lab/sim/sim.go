// Package sim is a grid in virtual time: the production step functions of core
// and AC on simulated links, DHCP servers, clocks, disks and processes. It
// implements grid.Grid.
//
//	engine      virtual time, random streams, the hash of the history
//	ether       segments, NICs, ARP, connections
//	node        the shell around boot.Machine, unlock, secure, ledger
//	controller  the shell around registry, ca, dispatch, on a store in memory
//	party       DHCP server, squatter, stranger
//	channel     what goes over a connection
//
// What is production code: core/boot with everything under core/network that
// decides, core/unlock with key slots and device key, core/secure,
// core/jobs/ledger, the verdicts of core/find; ac-mock/enrol, registry, ca,
// seal, audit, fault, hub/dispatch and store/memory. What is replaced: TLS (its
// chains are verified, nothing is encrypted), gocryptfs (its twin in memory),
// etcd (the same), sshd, HTTP and WebSocket framing, the kernel.
//
// It promises: the same plan, options and calls give the same history, bit for
// bit, whose hash is Hash; what a fault does to one entity draws from that
// entity's stream alone. It is for one goroutine.
package sim

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/actor/dhcp/decide"
	"github.com/g8os/g8os/lab/sim/channel"
	"github.com/g8os/g8os/lab/sim/controller"
	"github.com/g8os/g8os/lab/sim/engine"
	"github.com/g8os/g8os/lab/sim/ether"
	"github.com/g8os/g8os/lab/sim/node"
	"github.com/g8os/g8os/lab/sim/party"
	"github.com/g8os/g8os/lab/topology"
)

// Epoch is what the calendar says when a simulated grid begins; Built when its
// software was made.
var (
	Epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	Built = Epoch.Add(-30 * 24 * time.Hour)
)

// fallbackAC is where nodes look for an AC on the fallback network.
var fallbackAC = netip.MustParsePrefix("10.254.254.254/24")

// Options of a simulated grid.
type Options struct {
	Seed uint64
	// Hold leaves nodes without power until Boot.
	Hold bool
	// Boot is the time within which nodes get their power, each at a moment of
	// its own; 0: all at once.
	Boot time.Duration
	// Limits of the ACs; zero: enrol.DefaultLimits.
	Limits enrol.Limits
	// Log is that of the production code; nil: discarded.
	Log io.Writer
}

// World is a simulated grid.
type World struct {
	e        *engine.Engine
	plan     *topology.Plan
	o        Options
	net      *ether.Net
	segments map[string]*ether.Segment
	nodes    []*node.Node
	byName   map[string]*member
	byID     map[api.NodeID]*member
	acs      []*controller.Controller
	dhcp     map[string]*party.DHCP
	store    *memory.Store
	judge    *channel.Judge
	log      *slog.Logger

	revision int64 // of the store, that all ACs have heard of
	spread   bool  // news are on their way
	seen     seen
	faults   faults
	probes   probes
}

// member is a node with what an outsider knows of it.
type member struct {
	*node.Node
	number uint64
	plan   topology.Machine
	phase  string
	device string                    // fingerprint of the device key with which it was let in
	had    map[string][]netip.Prefix // addresses by NIC, when they were looked at last
	count  uint64                    // highest counter for which it was given shares
	is     string                    // the record that it plays; empty: its own
}

// New builds the grid of a plan: ACs run, nodes have power unless they are held.
func New(plan *topology.Plan, o Options) (*World, error) {
	w := &World{
		e: engine.New(o.Seed), plan: plan, o: o, segments: map[string]*ether.Segment{}, byName: map[string]*member{},
		byID: map[api.NodeID]*member{}, dhcp: map[string]*party.DHCP{}, store: memory.New(memory.Options{}),
		log: slog.New(slog.DiscardHandler), seen: newSeen(), probes: newProbes(),
	}
	if o.Log != nil {
		w.log = slog.New(slog.NewTextHandler(o.Log, nil))
	}
	w.net = ether.New(w.e)
	for _, s := range plan.Segments {
		w.segments[s.Name] = w.net.Segment(s.Name)
	}
	for _, build := range []func() error{w.buildDHCP, w.buildACs, w.buildNodes} {
		if err := build(); err != nil {
			return nil, fmt.Errorf("simulate lab %s: %w", plan.Lab, err)
		}
	}
	if !o.Hold {
		w.boot(w.nodes)
	}
	return w, nil
}

// host makes the machine of a plan, without power.
func (w *World) host(m topology.Machine) *ether.Host {
	h := w.net.Host(m.Name)
	for _, p := range m.Ports {
		h.NIC(p.NIC, p.MAC, w.segments[p.Segment])
	}
	return h
}

func (w *World) buildDHCP() error {
	for _, m := range w.plan.DHCP {
		p, d := m.Ports[0], m.DHCP
		scope := decide.Scope{
			Server: p.Address.Addr(), Net: p.Address.Masked(), First: d.First, Last: d.Last, Router: d.Gateway, DNS: d.DNS, Lease: d.Lease,
		}
		server, err := party.NewDHCP(w.e, w.host(m).NICs[0], Epoch, scope)
		if err != nil {
			return err
		}
		w.dhcp[p.Segment] = server
	}
	return nil
}

func (w *World) buildACs() error {
	random := w.e.Stream("master key")
	master := make(api.Secret, seal.KeySize)
	_, _ = random.Read(master)
	sealer, err := seal.New(master)
	if err != nil {
		return err
	}
	root := &controller.Root{}
	for i, m := range w.plan.ACs {
		h := w.host(m)
		for j, p := range m.Ports {
			x := h.NICs[j]
			x.Up = true
			var has []netip.Prefix
			if p.Address.IsValid() {
				has = append(has, p.Address)
			}
			if i == 0 && *m.AC.Fallback { // a lease between ACs is to decide
				has = append(has, fallbackAC)
			}
			x.SetAddresses(has)
		}
		c := controller.New(w.e, h, controller.Options{
			Name: m.Name, Grid: w.plan.Lab + ".lab", Policy: enrol.Policy{Mode: enrol.Mode(m.AC.Policy)}, Limits: w.o.Limits,
			NodeLife: m.AC.CertificateLife, Epoch: Epoch, Store: w.store, Seal: sealer, Root: root, Watcher: w, Log: w.log, Judge: w.judge,
			Elsewhere: w.elsewhereOnline,
		})
		if err := c.Start(); err != nil {
			return err
		}
		if w.judge == nil {
			w.judge = channel.NewJudge(c.CA().Pinned(), Built)
			c.SetJudge(w.judge)
		}
		w.acs = append(w.acs, c)
	}
	return nil
}

func (w *World) buildNodes() error {
	for _, m := range w.plan.Nodes {
		if _, err := w.addNode(m); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) addNode(m topology.Machine) (*member, error) {
	n, err := node.New(w.e, w.host(m), node.Options{
		Name: m.Name, NetTOML: m.NetTOML, Skew: m.Clock, Epoch: Epoch, Judge: w.judge, Watcher: w, Log: w.log,
	})
	if err != nil {
		return nil, err
	}
	k := &member{Node: n, number: uint64(len(w.byName)) + 1, plan: m, phase: phaseOff, had: map[string][]netip.Prefix{}}
	w.nodes = append(w.nodes, n)
	w.byName[m.Name] = k
	if id, err := identity(m); err == nil && w.byID[id] == nil {
		w.byID[id] = k
	}
	return k, nil
}

// boot gives nodes their power within the time of the options.
func (w *World) boot(nodes []*node.Node) {
	for _, n := range nodes {
		at := w.e.Stream("boot "+n.Name()).Between(0, w.o.Boot)
		w.e.After(at, n.PowerOn)
	}
}

// Hash is that of the history so far.
func (w *World) Hash() uint64 { return w.e.History() }

// Events is how many events have happened.
func (w *World) Events() uint64 { return w.e.Events() }
