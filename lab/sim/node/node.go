// Package node is the shell around a simulated node: what core/node is on a
// machine. It turns frames, timers, files and connections into events of the
// boot machine and performs its effects, all in virtual time; core/unlock,
// core/secure and core/jobs/ledger run in it as they are.
//
//	ether ─ links, ARP, DHCP ─┐                   ┌─▶ ether
//	engine ─ timers ──────────┼─▶ boot.Machine ───┼─▶ disk in memory
//	answers of operations ────┘                   └─▶ operations ─▶ AC
//
// It promises that a kill, a power cut and a full disk do to the production
// code what they do on a machine. It decides nothing. sshd, the sandbox and
// virtual interfaces are not there: what asks for them is told so at once.
package node

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/durable"
	diskmem "github.com/g8os/g8os/core/durable/memory"
	"github.com/g8os/g8os/core/jobs/ledger"
	"github.com/g8os/g8os/core/network/conflict"
	"github.com/g8os/g8os/core/network/lease"
	"github.com/g8os/g8os/core/secure"
	"github.com/g8os/g8os/core/unlock"
	"github.com/g8os/g8os/core/unlock/keyslot"
	volmem "github.com/g8os/g8os/core/unlock/volume/memory"
	"github.com/g8os/g8os/lab/sim/channel"
	"github.com/g8os/g8os/lab/sim/engine"
	"github.com/g8os/g8os/lab/sim/ether"
)

// Where a node's things are, as on a machine.
const (
	dir          = "/etc/g8os"
	mount        = "/mnt/etc"
	cipher       = dir + "/private"
	netTOML      = dir + "/net.toml"
	fallbackFile = dir + "/fallback-address"
	sslDir       = mount + "/ssl"
)

// Watcher is told what an outsider could see, for facts and the history.
type Watcher interface {
	Phase(n *Node, phase boot.Phase)
	Addresses(n *Node)
	Trusts(n *Node, server string, genuine bool)
	JobStarted(n *Node, id string)
	Crashed(n *Node)
	Reach(what string) // one of Reaches
}

// Options are what nodes of a grid share, and what is a node's own.
type Options struct {
	Name    string
	NetTOML string
	Skew    time.Duration // of the clock when it first gets power
	Epoch   time.Time     // the grid's time zero
	Judge   *channel.Judge
	Watcher Watcher
	Log     *slog.Logger
}

// Node is one machine.
type Node struct {
	Host *ether.Host

	o      Options
	e      *engine.Engine
	rng    engine.Stream
	disk   *diskmem.Disk
	clock  time.Duration // what the machine's own clock is ahead of the grid's time
	shift  time.Duration // what this run of g8os_core has set it ahead by
	volume *volmem.Volume
	probed probed

	touched []string // NICs that are on record to have something of g8os_core on them, as core/network/links keeps it

	read struct { // net.toml as it was parsed last
		text string
		is   boot.ConfigRead
	}

	hasGrace bool // it was told of a grace: others are spared the looks

	programs []*program // in the order in which they began

	core *core // nil: g8os_core does not run
}

// core is one run of g8os_core.
type core struct {
	*Node
	machine *boot.Machine
	vault   *unlock.Vault
	grace   graced
	open    unlock.Result
	ledger  *ledger.Ledger

	due        uint64 // number of the tick that counts
	dueAt      time.Time
	phase      boot.Phase
	links      bool // a LinksChanged is on its way
	operations map[int]*operation
	sessions   map[int]*session
	busy       []*operation // wait for the vault and the certificate
	frozen     bool
	missed     []func() // what happened while it was frozen
	others     int      // below zero: numbers of operations that are no effects
}

// New puts a machine with NICs together: its disk has net.toml, it has no power.
func New(e *engine.Engine, host *ether.Host, o Options) (*Node, error) {
	n := &Node{Host: host, o: o, e: e, rng: e.Stream("node " + o.Name), clock: o.Skew}
	choice := e.Stream("disk " + o.Name)
	n.disk = diskmem.New(func(k int) int { return choice.IntN(k) })
	if err := n.disk.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	n.disk.SyncAll()
	if err := durable.Write(n.disk, netTOML, []byte(o.NetTOML), 0o644); err != nil {
		return nil, fmt.Errorf("net.toml of %s: %w", o.Name, err)
	}
	for _, x := range host.NICs {
		x.HeardARP = func(p conflict.Packet) { n.happens(boot.HeardARP{Interface: x.Name, Packet: p}) }
		x.HeardDHCP = func(m lease.Message) { n.happens(boot.HeardDHCP{Interface: x.Name, Message: m}) }
	}
	return n, nil
}

// Name of the node.
func (n *Node) Name() string { return n.o.Name }

// Disk is the machine's disk, to damage and to fill.
func (n *Node) Disk() *diskmem.Disk { return n.disk }

// KeyFiles are the paths on the disk of the files that damage is done to. The
// certificate lies in the volume, whose twin in memory keeps it in a folder.
func KeyFiles() (slots, certificate string) {
	return dir + "/" + keyslot.Name, cipher + "/content/ssl/" + secure.ChainFile
}

// Volume is what a process sees of the disk: below the mount point the content
// of the private volume while it is open.
func (n *Node) Volume() durable.Disk {
	if n.volume == nil {
		return n.disk
	}
	return n.volume.Disk()
}

// Now is the node's clock, Untouched what it would be had g8os_core not set it
// (core/clock.Clock).
func (n *Node) Now() time.Time { return n.Untouched().Add(n.shift) }

// Untouched is the machine's own clock.
func (n *Node) Untouched() time.Time { return n.monotonic().Add(n.clock) }

// Set sets the node's clock, as g8os_core does.
func (n *Node) Set(t time.Time) error {
	n.o.Watcher.Reach(ClockRepaired)
	had := n.o.Judge.Plausible(n.Untouched())
	n.shift = t.Sub(n.Untouched())
	if !had { // as core/find does
		n.Adopt()
	}
	return nil
}

// Adopt makes what the clock shows the machine's own reckoning.
func (n *Node) Adopt() { n.clock, n.shift = n.clock+n.shift, 0 }

// Jump moves the machine's own clock, behind the back of g8os_core.
func (n *Node) Jump(by time.Duration) { n.clock += by }

// monotonic is what the boot machine goes by: it does not jump with the clock.
func (n *Node) monotonic() time.Time { return n.o.Epoch.Add(n.e.Now()) }

// Running says whether g8os_core runs and is not frozen.
func (n *Node) Running() bool { return n.core != nil && !n.core.frozen }

// Managed says whether it is.
func (n *Node) Managed() bool { return n.core != nil && n.core.machine.Managed() }

// Status is what g8os_core says of itself; zero when it does not run.
func (n *Node) Status() api.Status {
	if n.core == nil {
		return api.Status{}
	}
	s := n.core.machine.Status()
	if n.core.vault != nil {
		s.Fingerprint = n.core.vault.Device().Fingerprint()
	}
	if text := n.core.graceText(); text != "" {
		s.Warnings = append(s.Warnings, text)
	}
	return s
}

// Cable pulls a cable or puts it back.
func (n *Node) Cable(nic string, in bool) {
	for _, x := range n.Host.NICs {
		if x.Name == nic && x.Cable != in {
			x.Cable = in
			n.linksChanged()
		}
	}
}

// Move plugs another card with the name and MAC of a NIC into another segment,
// in its place.
func (n *Node) Move(nic string, to *ether.Segment) {
	for _, x := range n.Host.NICs {
		if x.Name == nic {
			n.Cable(nic, false)
			x.Move(to)
			n.o.Watcher.Addresses(n)
			n.Cable(nic, true)
		}
	}
}

// random is where the production code takes its randomness from.
func (n *Node) random() io.Reader { return n.rng }
