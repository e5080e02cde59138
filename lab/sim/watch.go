package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/sim/controller"
	"github.com/g8os/g8os/lab/sim/node"
)

// seen is what was seen since the last Facts, and the history.
type seen struct {
	facts   grid.Facts
	history []grid.Event
	jobs    []*grid.Job
	byJob   map[string]*grid.Job
	alive   map[api.NodeID]string // who has an identity's session, by host
}

func newSeen() seen { return seen{byJob: map[string]*grid.Job{}, alive: map[api.NodeID]string{}} }

// What is mixed into the hash of the history.
const (
	notePhase uint64 = iota + 1
	noteAddress
	noteRelease
	noteGrant
	noteTrust
	noteJob
	noteFault
)

const phaseOff = "off"

func (w *World) event(who, what, format string, args ...any) {
	w.seen.history = append(w.seen.history, grid.Event{At: w.e.Now(), Who: who, What: what, Text: fmt.Sprintf(format, args...)})
}

func (w *World) member(n *node.Node) *member { return w.byName[n.Name()] }

// Phase is told of a node's phase (node.Watcher).
func (w *World) Phase(n *node.Node, p boot.Phase) {
	k := w.member(n)
	k.phase = string(p)
	w.e.NoteText(k.number, notePhase, k.phase)
	w.event(n.Name(), "phase", "%s", p)
	w.shared(k)
}

// Addresses is told of a node's addresses (node.Watcher).
func (w *World) Addresses(n *node.Node) {
	k := w.member(n)
	for _, x := range n.Host.NICs {
		for _, a := range x.Addresses() {
			w.e.NoteText(k.number, noteAddress, x.Name+a.String())
		}
	}
	w.shared(k)
	w.takings(k)
}

// shared notes the addresses that a managed node has together with another.
func (w *World) shared(k *member) {
	if !k.Managed() {
		return
	}
	for _, x := range k.Host.NICs {
		for _, a := range x.Addresses() {
			for _, y := range x.Segment().Holders(a.Addr()) {
				other := w.byName[y.Host.Name]
				if other == nil || other == k || !other.Managed() || !x.Carrier() || !y.Carrier() {
					continue
				}
				w.seen.facts.Duplicates = append(w.seen.facts.Duplicates, grid.Duplicate{
					At: w.e.Now(), Segment: x.Segment().Name, Address: a.Addr(), Nodes: inOrder(k.Name(), other.Name()),
				})
			}
		}
	}
}

func inOrder(a, b string) [2]string {
	if b < a {
		a, b = b, a
	}
	return [2]string{a, b}
}

// Trusts is told whom a node took for an AC (node.Watcher).
func (w *World) Trusts(n *node.Node, server string, genuine bool) {
	w.e.NoteText(w.member(n).number, noteTrust, server)
	if !genuine {
		w.seen.facts.Trusts = append(w.seen.facts.Trusts, grid.Trust{At: w.e.Now(), Node: n.Name(), Server: server})
	}
}

// JobStarted is told that a job was begun (node.Watcher).
func (w *World) JobStarted(n *node.Node, id string) {
	w.e.NoteText(w.member(n).number, noteJob, id)
	if j := w.seen.byJob[id]; j != nil {
		j.Started++
		j.Interrupted = j.Interrupted || n.Name() != j.Node // on a machine that has its identity too
	}
}

// Crashed is told that g8os_core has ended without a word (node.Watcher).
func (w *World) Crashed(n *node.Node) {
	k := w.member(n)
	k.phase = phaseOff
	w.e.NoteText(k.number, notePhase, phaseOff)
	w.event(n.Name(), "phase", "down")
	for _, j := range w.seen.jobs {
		if j.Node == n.Name() && !j.Told {
			j.Interrupted = true
		}
	}
}

// Released is told that shares have left an AC (controller.Watcher).
func (w *World) Released(c *controller.Controller, peer string, record api.Node, device []byte, counter uint64) {
	w.e.NoteText(1, noteRelease, c.Name()+peer+string(record.ID))
	owner := w.byID[record.ID]
	if owner != nil && owner.device == "" {
		owner.device = record.Fingerprint
	}
	proved := owner == nil || owner.device == api.Fingerprint(device)
	w.seen.facts.Releases = append(w.seen.facts.Releases, grid.Release{
		At: w.e.Now(), Node: w.nameOf(record.ID), State: string(record.State), Proved: proved, Stale: owner != nil && counter <= owner.count,
	})
	if owner != nil {
		owner.count = max(owner.count, counter)
	}
	w.changed()
}

// Granted is told of what an AC has granted (controller.Watcher).
func (w *World) Granted(c *controller.Controller, peer string, id api.NodeID, what string) {
	w.e.NoteText(2, noteGrant, c.Name()+peer+string(id)+what)
	w.probeGrant(id, what)
	w.seen.facts.Acts = append(w.seen.facts.Acts, grid.Act{At: w.e.Now(), Node: w.idOf(peer), For: string(id), What: what})
	w.changed()
}

// elsewhereOnline says whether a node has a session with another AC than one.
func (w *World) elsewhereOnline(c *controller.Controller, id api.NodeID) bool {
	return slices.ContainsFunc(w.acs, func(other *controller.Controller) bool { return other != c && other.Online(id) })
}

// told asks the ACs that answer what became of jobs, as an operator does who
// waits for them, and counts the pieces of output that ACs have.
func (w *World) told() {
	for _, j := range w.seen.jobs {
		if j.Told {
			continue
		}
		record := api.NodeID(w.idOf(j.Node))
		for _, c := range w.acs {
			run, ok := c.Run(j.ID, record)
			if !ok || !run.State.Ended() {
				continue
			}
			pieces := map[uint64]bool{}
			for _, c := range w.acs {
				c.Said(j.ID, func(_ api.NodeID, seq uint64) { pieces[seq] = true })
			}
			// That pieces are missing a stream says; the power of a node takes some.
			j.Told, j.Lost, j.Output = true, run.State != api.JobSuccess || j.Interrupted && len(pieces) < j.Expected, len(pieces)
			w.e.NoteText(3, noteJob, j.ID+string(run.State)+run.Error)
			w.event(j.Node, "job", "%s: %s, code %d %s", j.ID, run.State, run.Code, run.Error)
			break
		}
	}
}

// Changed is told that the store may have changed (controller.Watcher).
func (w *World) Changed() { w.changed() }

// newsAfter is how long a write takes to reach the other ACs.
const newsAfter = 3 * time.Millisecond

// changed lets every AC hear of what was written.
func (w *World) changed() {
	if w.spread {
		return
	}
	w.spread = true
	w.e.After(newsAfter, func() {
		w.spread = false
		revision, err := w.store.Revision(context.Background())
		if err != nil || revision == w.revision {
			return
		}
		w.revision = revision
		for _, c := range w.acs {
			c.News()
		}
		w.told()
	})
}

// idOf is the record that a machine is, by its name.
func (w *World) idOf(peer string) string {
	k := w.byName[peer]
	if k == nil {
		return "host " + peer
	}
	if k.is != "" {
		return k.is
	}
	id, err := identity(k.plan)
	if err != nil {
		return err.Error()
	}
	return string(id)
}

func (w *World) nameOf(id api.NodeID) string {
	if k := w.byID[id]; k != nil {
		return k.Name()
	}
	return string(id)
}

// overstayed lists who uses an address after its lease was over. Where g8os_core
// does not run, nobody is there to take it off.
func (w *World) overstayed() []grid.Overstay {
	var out []grid.Overstay
	for _, n := range w.nodes {
		if !n.Running() || !n.Managed() {
			continue
		}
		for i, x := range n.Host.NICs {
			server := w.dhcp[x.Segment().Name]
			if server == nil || !x.Carrier() {
				continue
			}
			for _, a := range x.Addresses() {
				if l, ok := server.Leased(a.Addr()); ok && l.MAC == x.MAC && w.e.Now() > l.Until+leaseGrace && !declared(w.member(n).plan.Ports[i].Address, a) {
					out = append(out, grid.Overstay{Node: n.Name(), Segment: x.Segment().Name, Address: a.Addr(), Since: l.Until})
				}
			}
		}
	}
	return out
}

// leaseGrace is what a client may be late by: the time an answer was under way.
const leaseGrace = 2 * time.Second

func declared(static, a netip.Prefix) bool { return static.IsValid() && static.Addr() == a.Addr() }
