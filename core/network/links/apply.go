package links

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/network"
	"github.com/g8os/g8os/core/network/nettoml"
)

// Apply makes everything of ours on an interface exactly w; the zero Wanted
// gives the interface back as it was. What fails does not stop the rest: the
// errors come joined. When the record cannot be written, nothing is changed.
func (l *Links) Apply(name string, w network.Wanted) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, err := l.find(name)
	if errors.Is(err, ErrNoInterface) {
		return l.applyGone(name, w, err)
	}
	if err != nil {
		return err
	}
	s, err := l.look(k)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	if err := l.intend(s, w); err != nil {
		return err
	}
	err = errors.Join(l.perform(s, w), l.serve(name, w.DNS))
	if s.entry.idle() {
		l.record.forget(name)
	}
	return errors.Join(err, l.save())
}

// Withdraw takes everything of ours from an interface.
func (l *Links) Withdraw(name string) error { return l.Apply(name, network.Wanted{}) }

// WithdrawAll takes everything of ours from all interfaces, and the devices
// that we made.
func (l *Links) WithdrawAll() error {
	touched, made := l.Touched(), l.Made()
	slices.Reverse(touched)
	var errs []error
	for _, name := range touched {
		if slices.Contains(made, name) {
			errs = append(errs, l.Remove(name))
			continue
		}
		errs = append(errs, l.Withdraw(name))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range slices.Clone(l.record.Links) { // ports of what is not ours to remove
		if e.Master != "" {
			errs = append(errs, l.releasePort(e))
		}
	}
	l.record.Names.Servers = nil
	errs = append(errs, l.serve("", nil), l.save())
	return errors.Join(errs...)
}

// applyGone forgets an interface that is no longer there. Its name servers may
// still be.
func (l *Links) applyGone(name string, w network.Wanted, gone error) error {
	if e := l.record.find(name); e != nil && e.Made == "" {
		l.record.forget(name)
	}
	err := errors.Join(l.serve(name, nil), l.save())
	if !w.Equal(network.Wanted{}) {
		err = errors.Join(gone, err)
	}
	return err
}

// entryOf returns the entry of an interface, and makes one at the first touch.
// When a device has since been replaced, all that may remain is that we made it.
func (l *Links) entryOf(k netlink.Link) *entry {
	a, made := k.Attrs(), ""
	if e := l.record.find(a.Name); e != nil {
		if e.Index == 0 {
			e.Index, e.MTU = a.Index, a.MTU
		}
		if e.Index == a.Index {
			return e
		}
		l.record.forget(a.Name)
		if e.Made == string(nettoml.OVS) || a.Alias == alias {
			made = e.Made
		}
	}
	e := &entry{Made: made, Name: a.Name, Index: a.Index, Up: a.RawFlags&unix.IFF_UP != 0, MTU: a.MTU}
	l.record.Links = append(l.record.Links, e)
	return e
}

// state is one interface during an Apply.
type state struct {
	link      netlink.Link
	entry     *entry
	kernelA   []netlink.Addr
	kernelR   []netlink.Route
	addresses change[netip.Prefix]
	routes    change[network.Route]
	taken     []network.Route // wanted, but somebody else has that destination and metric
}

func (l *Links) look(k netlink.Link) (*state, error) {
	s := &state{link: k, entry: l.entryOf(k)}
	var err error
	s.kernelA, err = again(func() ([]netlink.Addr, error) { return l.kernel.AddrList(k, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	s.kernelR, err = l.routesOf(k)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return s, nil
}

// routesOf lists the routes through an interface that somebody put there: not
// those that the kernel makes of addresses and router advertisements.
func (l *Links) routesOf(k netlink.Link) ([]netlink.Route, error) {
	list, err := again(func() ([]netlink.Route, error) { return l.kernel.RouteList(k, netlink.FAMILY_ALL) })
	return slices.DeleteFunc(list, func(r netlink.Route) bool {
		return r.Protocol == unix.RTPROT_KERNEL || r.Protocol == unix.RTPROT_RA
	}), err
}

// intend plans the change, and records what will be ours before it is.
func (l *Links) intend(s *state, w network.Wanted) error {
	s.addresses = diff(s.entry.Addresses, prefixesOf(s.kernelA), w.Addresses)
	ours, there := s.entry.Routes, []network.Route(nil)
	for _, k := range s.kernelR {
		r, ok := routeOf(k)
		if !ok {
			continue
		}
		there = append(there, r)
		if k.Protocol == Protocol {
			ours = union(ours, []network.Route{r})
		}
	}
	s.routes = diff(ours, there, plain(w.Routes))
	s.settleRoutes(ours, there)

	s.entry.Addresses = union(s.entry.Addresses, s.addresses.keep)
	s.entry.Routes = union(ours, s.routes.keep)
	s.entry.Raised = s.entry.Raised || wantsUp(w)
	if w.MTU != 0 && (w.MTU != s.link.Attrs().MTU || s.entry.SetMTU != 0) {
		s.entry.SetMTU = w.MTU
	}
	return l.save()
}

// settleRoutes drops the wishes for a destination and metric that somebody
// else has with another gateway: adding them would be refused, replacing them
// would be theft.
func (s *state) settleRoutes(ours, there []network.Route) {
	foreign := func(r network.Route) bool {
		return slices.ContainsFunc(there, func(t network.Route) bool {
			return t.To == r.To && t.Metric == r.Metric && !slices.Contains(ours, t)
		})
	}
	s.routes.add = slices.DeleteFunc(s.routes.add, func(r network.Route) bool {
		if foreign(r) {
			s.taken = append(s.taken, r)
		}
		return foreign(r)
	})
	s.routes.keep = slices.DeleteFunc(s.routes.keep, func(r network.Route) bool { return slices.Contains(s.taken, r) })
}

func wantsUp(w network.Wanted) bool { return w.Up || len(w.Addresses) > 0 || len(w.Routes) > 0 }

func prefixesOf(list []netlink.Addr) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range list {
		if p, ok := prefixOf(a); ok {
			out = append(out, p)
		}
	}
	return out
}

// perform changes the kernel: new addresses before old ones go, so that an
// interface that keeps one is never without.
func (l *Links) perform(s *state, w network.Wanted) error {
	var errs []error
	if wantsUp(w) {
		errs = append(errs, l.setUp(s.link))
	}
	if w.MTU != 0 || s.entry.Master == "" { // a port has the MTU of what it is a port of
		errs = append(errs, l.setMTU(s, w.MTU))
	}
	errs = append(errs, l.addAddresses(s)...)
	errs = append(errs, l.removeRoutes(s)...)
	errs = append(errs, l.removeAddresses(s)...)
	errs = append(errs, l.addRoutes(s, w.Addresses)...)
	if !wantsUp(w) {
		errs = append(errs, l.lower(s))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("interface %s: %w", s.entry.Name, err)
	}
	return nil
}

func (l *Links) setUp(k netlink.Link) error {
	if k.Attrs().RawFlags&unix.IFF_UP != 0 {
		return nil
	}
	if err := l.kernel.LinkSetUp(k); err != nil {
		return fmt.Errorf("set %s up: %w", k.Attrs().Name, err)
	}
	l.log.Debug("interface set up", "interface", k.Attrs().Name)
	return nil
}

// lower sets an interface down again that was down before us, unless somebody
// else has come to use it.
func (l *Links) lower(s *state) error {
	e := s.entry
	if !e.Raised || e.Master != "" {
		return nil
	}
	e.Raised = false
	if e.Up {
		return nil
	}
	if used, err := l.routesOf(s.link); err != nil || len(used) > 0 {
		l.log.Warn("interface stays up: somebody else has routes on it", "interface", e.Name)
		return err
	}
	if err := l.kernel.LinkSetDown(s.link); err != nil {
		return fmt.Errorf("set down again: %w", err)
	}
	return nil
}

// setMTU sets the MTU, or restores the one from before when none is wanted.
func (l *Links) setMTU(s *state, mtu int) error {
	e := s.entry
	restore := mtu == 0
	if restore {
		if e.SetMTU == 0 {
			return nil
		}
		mtu = e.MTU
	}
	if s.link.Attrs().MTU != mtu {
		if err := l.kernel.LinkSetMTU(s.link, mtu); err != nil {
			return fmt.Errorf("set MTU %d: %w", mtu, err)
		}
	}
	if restore {
		e.SetMTU = 0
	}
	return nil
}
