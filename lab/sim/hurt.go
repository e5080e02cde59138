package sim

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	ac "github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/actor/dhcp/decide"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/sim/controller"
	"github.com/g8os/g8os/lab/sim/ether"
	"github.com/g8os/g8os/lab/sim/node"
	"github.com/g8os/g8os/lab/sim/party"
	"github.com/g8os/g8os/lab/topology"
)

// always is an undo that cannot fail.
func always(do func()) func() error {
	return func() error { do(); return nil }
}

// hurtNode puts a fault of a node into force.
func (w *World) hurtNode(a *active) (func() error, error) {
	f, k := a.Fault, w.byName[a.Fault.On]
	a.Measured.How = "done to the simulated machine"
	switch f.Kind {
	case fault.Cable:
		nic := cmp.Or(f.NIC, "eth0")
		k.Cable(nic, false)
		return always(func() { k.Cable(nic, true) }), nil
	case fault.Kill:
		k.Kill()
		return always(k.Start), nil
	case fault.Pause:
		k.Freeze()
		return always(k.Thaw), nil
	case fault.Power:
		k.PowerCut()
		return always(k.PowerOn), nil
	case fault.Clock:
		k.Jump(time.Duration(f.By))
		return always(func() { k.Jump(Epoch.Add(w.e.Now()).Sub(k.Now())) }), nil
	case fault.DiskFull:
		k.Disk().Full = true
		return always(func() { k.Disk().Full = false }), nil
	case fault.ReadOnly:
		k.Disk().ReadOnly = true
		return always(func() { k.Disk().ReadOnly = false }), nil
	case fault.DamageSlot, fault.DamageCert:
		return nil, w.damage(a, k)
	case fault.Move:
		nic := cmp.Or(f.NIC, "eth0")
		from := k.Host.NICs[slices.IndexFunc(k.Host.NICs, func(x *ether.NIC) bool { return x.Name == nic })].Segment()
		k.Move(nic, w.segments[f.To])
		return always(func() { k.Move(nic, from) }), nil
	case fault.Thief, fault.Clone:
		return w.twin(a, k)
	case fault.Impostor:
		victim, err := identity(w.byName[f.To].plan)
		if err != nil {
			return nil, err
		}
		if !k.Managed() {
			a.Measured.How = f.On + " is not managed: it knew nobody to ask"
			return nil, nil
		}
		return nil, k.Impersonate(victim)
	}
	return nil, fmt.Errorf("the simulator has no such fault of a node")
}

// damage overwrites a file in the middle, if it is there.
func (w *World) damage(a *active, k *member) error {
	slots, certificate := node.KeyFiles()
	path := map[string]string{fault.DamageSlot: slots, fault.DamageCert: certificate}[a.Fault.Kind]
	err := k.Disk().Damage(path, func(b []byte) []byte {
		for i := len(b) / 3; i < min(len(b)/3+16, len(b)); i++ {
			b[i] ^= 0xff
		}
		return b
	})
	if errors.Is(err, fs.ErrNotExist) {
		a.Measured.How, err = path+" is not there yet: nothing was damaged", nil
	}
	return err
}

// twin puts a second machine with the node's MAC on a segment: with an empty
// disk, or with a copy of the node's.
func (w *World) twin(a *active, of *member) (func() error, error) {
	if of.device == "" {
		a.Measured.How = of.Name() + " was never let in: whoever comes first would be it"
		return always(func() {}), nil
	}
	m := of.plan
	m.Name = a.Fault.Kind + "." + a.ID
	segment := cmp.Or(a.Fault.To, w.elsewhere(of))
	p := m.Ports[0]
	p.Segment, p.Method, p.Address = segment, "", netip.Prefix{}
	m.Ports = []topology.Port{p}
	m.NetTOML = w.controllersOn(segment)
	k, err := w.addNode(m)
	if err != nil {
		return nil, err
	}
	k.is = w.idOf(of.Name())
	if a.Fault.Kind == fault.Clone {
		if err := k.CopyDisk(of.Node); err != nil {
			return nil, err
		}
	}
	k.PowerOn()
	return always(k.PowerCut), nil
}

// elsewhere is a segment that a node is not on, if there is one.
func (w *World) elsewhere(k *member) string {
	here := k.Host.NICs[0].Segment().Name
	for _, s := range w.plan.Segments {
		if s.Name != here {
			return s.Name
		}
	}
	return here
}

// controllersOn is a net.toml that names the ACs of a segment.
func (w *World) controllersOn(segment string) string {
	var urls []string
	for _, m := range w.plan.ACs {
		for _, p := range m.Ports {
			if p.Segment == segment && p.Address.IsValid() {
				urls = append(urls, fmt.Sprintf("%q", fmt.Sprintf("https://%s:%d", p.Address.Addr(), api.Port)))
			}
		}
	}
	if len(urls) == 0 {
		return ""
	}
	return "controllers = [" + strings.Join(urls, ", ") + "]\n"
}

// hurtSegment puts a fault of a segment into force.
func (w *World) hurtSegment(a *active) (func() error, error) {
	f := a.Fault
	switch f.Kind {
	case fault.Squatter:
		x := w.stranger(a, 1)
		party.Squat(x, f.Address)
		return always(func() { party.Leave(x) }), nil
	case fault.Stranger:
		return w.playAC(a)
	case fault.DHCPForeign:
		return w.foreign(a)
	}
	words := []string{strings.TrimPrefix(f.Kind, "dhcp-")}
	switch f.Kind {
	case fault.DHCPSlow:
		words = append(words, f.Delay.String())
	case fault.DHCPInUse:
		words = append(words, f.Address.String())
	}
	mode, err := decide.ParseMode(words...)
	if err != nil {
		return nil, err
	}
	server := w.dhcp[f.On]
	server.SetMode(mode)
	a.Measured.How = "the DHCP server's mode is " + mode.String()
	return always(func() { server.SetMode(decide.Mode{Name: "normal"}) }), nil
}

// stranger is the NIC of a host of its own on the fault's segment.
func (w *World) stranger(a *active, number int) *ether.NIC {
	h := w.net.Host(a.Fault.Kind + "." + a.ID)
	a.Measured.How = "host " + h.Name + " is on the segment"
	return h.NIC("eth0", topology.MAC(w.plan.Lab, h.Name, number), w.segments[a.Fault.On])
}

func (w *World) playAC(a *active) (func() error, error) {
	x := w.stranger(a, 1)
	id := api.Identity{Grid: w.plan.Lab + ".lab", Role: api.RoleAC, Name: w.plan.ACs[0].Name}
	chain, err := controller.SelfMade(id, w.e.Stream("stranger "+a.ID), Epoch.Add(w.e.Now()))
	if err != nil {
		return nil, err
	}
	party.Squat(x, fallbackAC.Addr())
	party.Play(x, chain, func(peer, what string) {
		w.event(x.Host.Name, "note", "%s was asked for %s by %s", x.Host.Name, what, peer)
	})
	return always(func() { party.Leave(x) }), nil
}

// foreign is a DHCP server whose leases lead nowhere, and which is the faster one.
func (w *World) foreign(a *active) (func() error, error) {
	x := w.stranger(a, 1)
	scope := decide.Scope{
		Server: netip.MustParseAddr("198.51.100.1"), Net: netip.MustParsePrefix("198.51.100.0/24"), // RFC 5737
		First: netip.MustParseAddr("198.51.100.10"), Last: netip.MustParseAddr("198.51.100.250"),
		Router: netip.MustParseAddr("198.51.100.1"), Lease: time.Minute,
	}
	server, err := party.NewDHCP(w.e, x, Epoch, scope)
	if err != nil {
		return nil, err
	}
	return always(server.Off), nil
}

// hurtAC puts a fault of an AC into force: of the one that is named, or of all.
func (w *World) hurtAC(a *active) (func() error, error) {
	f := a.Fault
	var meant []*controller.Controller
	for _, c := range w.acs {
		if f.On == "" || f.On == c.Name() {
			meant = append(meant, c)
		}
	}
	each := func(do func(*controller.Controller)) {
		for _, c := range meant {
			do(c)
		}
	}
	a.Measured.How = fmt.Sprintf("done to %d of %d ACs", len(meant), len(w.acs))
	switch f.Kind {
	case fault.ACKill:
		each((*controller.Controller).Kill)
		return always(func() { each(w.restart) }), nil
	case fault.ACPause:
		each((*controller.Controller).Freeze)
		return always(func() { each((*controller.Controller).Thaw) }), nil
	case fault.ACClock:
		each(func(c *controller.Controller) { c.Jump(time.Duration(f.By)) })
		return always(func() { each(func(c *controller.Controller) { c.Jump(-time.Duration(f.By)) }) }), nil
	case fault.StoreLost:
		w.store.SetDown(true)
		return always(func() { w.store.SetDown(false) }), nil
	case fault.StoreFull:
		w.store.SetFull(true)
		return always(func() { w.store.SetFull(false) }), nil
	}
	return w.arm(a, meant)
}

// again is how long a supervisor waits before it starts an AC that would not.
const again = time.Second

// restart starts an AC, again and again until it starts.
func (w *World) restart(c *controller.Controller) {
	if err := c.Start(); err != nil {
		w.event(c.Name(), "note", "%v", err)
		w.e.After(again, func() { w.restart(c) })
		return
	}
	w.event(c.Name(), "note", "started")
}

// arm has ACs misbehave as they do on command.
func (w *World) arm(a *active, meant []*controller.Controller) (func() error, error) {
	f := a.Fault
	var ids []api.NodeID
	for _, name := range f.Nodes {
		ids = append(ids, api.NodeID(w.idOf(name)))
	}
	covers := func(id api.NodeID) bool { return len(ids) == 0 || slices.Contains(ids, id) }
	for _, c := range meant {
		if f.Kind == ac.Revoke {
			if err := c.Revoke(covers); err != nil {
				return nil, err
			}
			continue
		}
		if _, err := c.Faults.Arm(api.Fault{Name: f.Kind, Nodes: ids}, c.Now()); err != nil {
			return nil, err
		}
		if f.Kind == ac.Outage || f.Kind == ac.LoseSession {
			c.Cut(covers)
		}
		a.Measured.How = "armed: " + strings.Join(c.Faults.Names(c.Now()), ", ")
	}
	return func() error {
		for _, c := range meant {
			if _, err := c.Faults.Clear(f.Kind, c.Now()); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
