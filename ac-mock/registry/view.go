package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/g8os/g8os/core/api"
)

// Nodes lists all nodes by id, retired ones too.
func (r *Registry) Nodes(context.Context) ([]api.Node, error) { return r.book.view(), nil }

// Node finds one by id, MAC, or unique host name. Errors wrap ErrUnknown.
func (r *Registry) Node(_ context.Context, ref string) (api.Node, error) {
	id, err := r.book.resolve(ref)
	if err != nil {
		return api.Node{}, err
	}
	return r.book.viewOne(id), nil
}

func (b *book) view() []api.Node {
	b.mu.RLock()
	defer b.mu.RUnlock()
	nodes := make([]api.Node, 0, len(b.nodes))
	for _, e := range b.nodes {
		if e.modified > 0 {
			nodes = append(nodes, b.show(e))
		}
	}
	slices.SortFunc(nodes, func(x, y api.Node) int { return strings.Compare(string(x.ID), string(y.ID)) })
	return nodes
}

func (b *book) viewOne(id api.NodeID) api.Node {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.show(b.nodes[id])
}

// show is what an operator sees; b.mu is held.
func (b *book) show(e *entry) api.Node {
	n := api.Node{
		ID: e.record.ID, MAC: e.record.ID.MAC(), Name: e.record.Hostname, State: e.record.State, Reason: e.record.Reason,
		Roles: slices.Clone(e.record.Roles), TPM: e.record.TPM, Grace: e.record.Grace,
		Phase: e.live.Where.Phase, Way: e.live.Where.Way, Address: e.live.Where.Address, AC: e.live.At, Version: e.live.Where.Version,
		Drained: e.record.Drained != nil,
	}
	if len(e.record.Device) > 0 {
		n.Fingerprint = api.Fingerprint(e.record.Device)
	}
	if n.Phase == managed && !e.live.online && (e.live.At == "" || e.live.At == b.own || !b.alive(e.live.At)) {
		n.Phase = "offline"
	}
	if c := e.record.Certificate; c != nil {
		until := c.NotAfter
		n.CertificateExpires = &until
	}
	if seen := e.live.Seen; !seen.IsZero() {
		n.LastSeen = &seen
	}
	return n
}

// resolve finds the node that a reference means. What looks like an id or a
// MAC is one; anything else is a host name.
func (b *book) resolve(ref string) (api.NodeID, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if e := b.nodes[api.NodeID(strings.ToLower(ref))]; e != nil && e.modified > 0 {
		return e.record.ID, nil
	}
	mac, err := api.ParseMAC(ref)
	if err != nil {
		mac, err = api.ParseMAC(api.NodeID(ref).MAC())
	}
	if err == nil { // a machine may call itself what it likes, also another's id
		if p := b.macs[mac]; p.id != "" && b.nodes[p.id] != nil {
			return p.id, nil
		}
		return "", fmt.Errorf("node %s: %w: no node has this id or MAC address", ref, ErrUnknown)
	}
	return b.named(ref)
}

// named finds a node by host name; retired ones only when no other has it.
func (b *book) named(name string) (api.NodeID, error) {
	var live, retired []string
	for id, e := range b.nodes {
		switch {
		case e.modified == 0 || e.record.Hostname != name || name == "":
		case e.record.State == api.NodeRetired:
			retired = append(retired, string(id))
		default:
			live = append(live, string(id))
		}
	}
	if len(live) == 0 {
		live = retired
	}
	slices.Sort(live)
	switch len(live) {
	case 1:
		return api.NodeID(live[0]), nil
	case 0:
		return "", fmt.Errorf("node %q: %w: no id, MAC address or host name is that; see g8os nodes", name, ErrUnknown)
	}
	return "", fmt.Errorf("node %q: %w: it could be any of %s; say which", name, ErrUnknown, strings.Join(live, ", "))
}
