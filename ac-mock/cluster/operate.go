package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/etcd"
	"github.com/g8os/g8os/core/api"
)

// ACs lists all that are members or were heard lately, by name, from what is
// known here.
func (c *Cluster) ACs(ctx context.Context) ([]api.AC, error) {
	members, err := c.members(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]api.AC{}
	for _, m := range members {
		name := c.nameOf(m)
		state := api.ACDown
		if m.Learner || m.Name == "" {
			state = api.ACJoining
		}
		all[name] = api.AC{Name: name, State: state, Leader: m.Leader, PeerURL: m.PeerURL}
	}
	for name, a := range c.alive {
		ac := all[name]
		ac.Name, ac.URL, ac.Version, ac.Sessions = name, a.URL, a.Version, a.Sessions
		if ac.State != api.ACJoining {
			ac.State = api.ACServing
		}
		all[name] = ac
	}
	list := []api.AC{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, c.shown(all[name]))
	}
	return list, nil
}

// shown adds what is known beside membership and life; c.mu is held.
func (c *Cluster) shown(ac api.AC) api.AC {
	if ac.Name == c.o.Name { // what stands in the store may be old
		ac.Sessions = c.o.Sessions()
	}
	switch {
	case c.silent && ac.Name != c.o.Name:
		ac.State = api.ACUnknown
	case c.draining[ac.Name] && ac.State == api.ACServing:
		ac.State = api.ACDraining
	}
	for _, segment := range slices.Sorted(maps.Keys(c.holders)) {
		if c.holders[segment] == ac.Name {
			ac.Holds = append(ac.Holds, segment)
		}
	}
	return ac
}

func (c *Cluster) members(ctx context.Context) ([]etcd.Member, error) {
	if c.o.Members == nil {
		return nil, nil
	}
	return c.o.Members.Members(ctx)
}

// nameOf is a member's name, or the one that it is to have; c.mu is held.
func (c *Cluster) nameOf(m etcd.Member) string {
	if m.Name != "" {
		return m.Name
	}
	if name := c.names[m.PeerURL]; name != "" {
		return name
	}
	return m.PeerURL
}

// find returns an AC by name.
func (c *Cluster) find(ctx context.Context, name string) (api.AC, error) {
	all, err := c.ACs(ctx)
	if err != nil {
		return api.AC{}, err
	}
	var names []string
	for _, ac := range all {
		if ac.Name == name {
			return ac, nil
		}
		names = append(names, ac.Name)
	}
	return api.AC{}, fmt.Errorf("AC %q: %w; there are %s", name, ErrUnknown, strings.Join(names, ", "))
}

// Add lets one more AC in: once it is started with etcd.join it catches up and
// then votes.
func (c *Cluster) Add(ctx context.Context, n api.NewAC) (api.AC, error) {
	if c.o.Members == nil {
		return api.AC{}, fmt.Errorf("add AC %s: %w: start it with the same etcd.endpoints", n.Name, ErrForeign)
	}
	all, err := c.ACs(ctx)
	if err != nil {
		return api.AC{}, err
	}
	for _, ac := range all {
		switch {
		case ac.Name == c.o.Name && ac.PeerURL == "" || strings.HasPrefix(ac.PeerURL, "http:"):
			return api.AC{}, fmt.Errorf("add AC %s: %w: AC %s has no etcd.peer_url at which others could reach it", n.Name, ErrForeign, ac.Name)
		case ac.Name == n.Name || ac.PeerURL == n.PeerURL:
			return api.AC{}, fmt.Errorf("add AC %s at %s: %w: %s at %s", n.Name, n.PeerURL, ErrExists, ac.Name, ac.PeerURL)
		}
	}
	// Its name first: a member without one could not be removed by it.
	if _, err := c.o.Store.Txn(ctx, store.Txn{Then: []store.Op{store.Put(keyPeer+n.PeerURL, []byte(n.Name))}}); err != nil {
		return api.AC{}, fmt.Errorf("add AC %s: %w", n.Name, err)
	}
	if _, err := c.o.Members.AddMember(ctx, n.PeerURL); err != nil {
		return api.AC{}, fmt.Errorf("add AC %s: %w", n.Name, err)
	}
	return api.AC{Name: n.Name, PeerURL: n.PeerURL, State: api.ACJoining}, nil
}

// Remove takes an AC out for good. It must not be the last one.
func (c *Cluster) Remove(ctx context.Context, name string) error {
	if c.o.Members == nil {
		return fmt.Errorf("remove AC %s: %w: stop it", name, ErrForeign)
	}
	if _, err := c.find(ctx, name); err != nil {
		return err
	}
	members, err := c.members(ctx)
	if err != nil {
		return err
	}
	if len(members) == 1 {
		return fmt.Errorf("remove AC %s: %w: it is the only one", name, ErrLast)
	}
	for _, m := range members {
		c.mu.Lock()
		is := c.nameOf(m) == name
		c.mu.Unlock()
		if !is {
			continue
		}
		if err := c.o.Members.RemoveMember(ctx, m.ID); err != nil {
			return fmt.Errorf("remove AC %s: %w", name, err)
		}
		_, err := c.o.Store.Txn(ctx, store.Txn{Then: []store.Op{store.Delete(keyPeer + m.PeerURL), store.Delete(keyDrain + name), store.Delete(keyAlive + name)}})
		return err
	}
	return fmt.Errorf("AC %q: %w: it is no member of the store", name, ErrUnknown)
}

// Drain has an AC's nodes go to others, or ends that. One AC at least stays
// that is not drained.
func (c *Cluster) Drain(ctx context.Context, name string, drain bool) (api.AC, error) {
	ac, err := c.find(ctx, name)
	if err != nil {
		return ac, err
	}
	op := store.Delete(keyDrain + name)
	if drain {
		if !c.othersServe(ctx, name) {
			return ac, fmt.Errorf("drain AC %s: %w: no other one serves", name, ErrLast)
		}
		op = store.Put(keyDrain+name, []byte(c.o.Name))
	}
	if _, err := c.o.Store.Txn(ctx, store.Txn{Then: []store.Op{op}}); err != nil {
		return ac, fmt.Errorf("drain AC %s: %w", name, err)
	}
	switch {
	case drain && ac.State == api.ACServing:
		ac.State = api.ACDraining
	case !drain && ac.State == api.ACDraining:
		ac.State = api.ACServing
	}
	return ac, nil
}

func (c *Cluster) othersServe(ctx context.Context, name string) bool {
	all, err := c.ACs(ctx)
	return err == nil && slices.ContainsFunc(all, func(ac api.AC) bool { return ac.Name != name && ac.State == api.ACServing })
}
