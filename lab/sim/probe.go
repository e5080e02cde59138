package sim

import (
	"cmp"
	"maps"
	"slices"

	ac "github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/sim/node"
	"github.com/g8os/g8os/lab/topology"
)

const (
	reachedRenewed  = "a certificate renewed"
	reachedRepaired = "a damaged certificate replaced"
	reachedAnew     = "a revoked certificate replaced"
	reachedHeld     = "a clone held back until an operator decides"
)

// phases in which a node may lose its AC.
var phases = []boot.Phase{boot.PhaseNetwork, boot.PhaseUnlock, boot.PhaseSecure, boot.PhaseSandbox, boot.PhaseManaged}

func reachedFault(kind string) string { return "fault " + kind }

func reachedLoss(phase string) string { return "an AC lost in phase " + phase }

// Reaches lists what a simulated grid may come to: every kind of fault in
// force, every phase as the place where an AC was lost, and what a node may.
func Reaches() []string {
	all := append(node.Reaches(), reachedRenewed, reachedRepaired, reachedAnew, reachedHeld)
	for _, p := range phases {
		all = append(all, reachedLoss(string(p)))
	}
	for _, k := range fault.Kinds() {
		if _, not := k.Not[topology.Simulated]; !not {
			all = append(all, reachedFault(k.Name))
		}
	}
	return all
}

// Reached is how often the grid came to each of Reaches so far.
func (w *World) Reached() map[string]int {
	all := maps.Clone(w.probes.reached)
	for _, k := range w.byName {
		if k.device != "" && w.heldBack(k) {
			all[reachedHeld]++
		}
	}
	return all
}

// heldBack says whether an AC that runs has a node wait for an operator.
func (w *World) heldBack(k *member) bool {
	i, err := w.ac()
	if err != nil {
		return false
	}
	n, err := w.acs[i].Node(w.idOf(k.Name()))
	return err == nil && n.State == api.NodePending
}

// Reach is told of one of node.Reaches (node.Watcher).
func (w *World) Reach(what string) { w.probes.reached[what]++ }

// probeFault looks at what a fault meets.
func (w *World) probeFault(f fault.Fault) {
	w.Reach(reachedFault(f.Kind))
	switch f.Kind {
	case fault.ACKill, fault.ACPause, ac.Outage, fault.StoreLost:
		for _, k := range w.byName {
			if p := boot.Phase(k.phase); slices.Contains(phases, p) {
				w.Reach(reachedLoss(k.phase))
			}
		}
	case ac.Revoke:
		for _, k := range w.byName {
			if len(f.Nodes) == 0 || slices.Contains(f.Nodes, k.Name()) {
				w.probes.wrong(k, reachedAnew)
			}
		}
	case fault.DamageCert:
		w.probes.wrong(w.byName[f.On], reachedRepaired)
	}
}

// probes count, and keep what it takes to count by.
type probes struct {
	reached   map[string]int
	certified map[*member]string // who has got a certificate; with what has become wrong with it since
}

func newProbes() probes { return probes{map[string]int{}, map[*member]string{}} }

// wrong keeps what happened to a node's certificate, if it has one.
func (p probes) wrong(k *member, what string) {
	if _, has := p.certified[k]; has {
		p.certified[k] = what
	}
}

// probeGrant looks at what an AC has granted.
func (w *World) probeGrant(id api.NodeID, what string) {
	k := w.byID[id]
	if k == nil || what != "a certificate" {
		return
	}
	if wrong, has := w.probes.certified[k]; has {
		w.Reach(cmp.Or(wrong, reachedRenewed))
	}
	w.probes.certified[k] = ""
}
