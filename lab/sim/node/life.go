package node

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/jobs/ledger"
	volmem "github.com/g8os/g8os/core/unlock/volume/memory"
)

// PowerOn boots the machine, unless it has power.
func (n *Node) PowerOn() {
	if n.Host.Powered {
		return
	}
	n.Host.Powered = true
	n.volume = volmem.New(n.disk, cipher, mount)
	n.Start()
}

// PowerCut takes the power: what was not synced is lost or not, as it comes.
func (n *Node) PowerCut() {
	if !n.Host.Powered {
		return
	}
	n.crash()
	n.unplug()
	n.Host.PowerCut()
	n.disk.PowerCut()
	n.volume, n.touched = nil, nil
	n.o.Watcher.Addresses(n)
}

// Kill ends g8os_core as SIGKILL does: its connections are reset, addresses
// and the open volume stay.
func (n *Node) Kill() {
	if n.core == nil {
		return
	}
	n.crash()
	for _, x := range n.Host.NICs {
		x.Watch(nil, false)
	}
	n.Host.CloseAll()
}

func (n *Node) crash() {
	c := n.core
	if c == nil {
		return
	}
	n.core = nil
	for _, op := range c.inOrder() {
		op.proc.Kill()
	}
	n.o.Watcher.Crashed(n)
}

// Start starts g8os_core on a machine with power, unless it runs.
func (n *Node) Start() {
	if n.core != nil || !n.Host.Powered {
		return
	}
	c := &core{
		Node: n, ledger: ledger.New(0),
		operations: map[int]*operation{}, sessions: map[int]*session{},
	}
	c.machine = boot.New(boot.Config{
		Hostname: n.o.Name, Seed: n.rng.Uint64(), LastFallback: n.lastFallback(), Touched: slices.Clone(n.touched),
		Timing: boot.DefaultTiming(), Fallback: api.FallbackController,
	})
	n.core = c
	c.restore()
	n.clock, n.shift = n.clock+n.shift, 0 // the machine keeps what it was set to, the process forgets by whom
	c.linksChanged()
	if n.hasGrace {
		c.keepGrace()
	}
}

func (n *Node) lastFallback() netip.Addr {
	b, err := n.disk.ReadFile(fallbackFile)
	if err != nil {
		return netip.Addr{}
	}
	a, _ := netip.ParseAddr(strings.TrimSpace(string(b)))
	return a
}

// Freeze stops g8os_core as SIGSTOP does; Thaw lets it go on: what happened
// meanwhile happens to it then.
func (n *Node) Freeze() {
	if n.core != nil {
		n.core.frozen = true
	}
}

// Thaw undoes Freeze.
func (n *Node) Thaw() {
	c := n.core
	if c == nil || !c.frozen {
		return
	}
	c.frozen = false
	missed := c.missed
	c.missed = nil
	for _, do := range missed {
		if n.core == c {
			do()
		}
	}
}
