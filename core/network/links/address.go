package links

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/network"
)

// addAddresses adds what is missing. What cannot be added is not ours.
func (l *Links) addAddresses(s *state) []error {
	var errs []error
	for _, p := range s.addresses.add {
		if err := l.addAddress(s.link, p); err != nil {
			errs = append(errs, err)
			s.addresses.keep = slices.DeleteFunc(s.addresses.keep, func(q netip.Prefix) bool { return p == q })
			continue
		}
		l.log.Info("address added", "interface", s.entry.Name, "address", p)
	}
	return errs
}

// addAddress adds one address. IPv6 ones skip duplicate address detection
// (RFC 4862, section 5.4): they must be usable at once, and come from an
// operator or a server.
func (l *Links) addAddress(k netlink.Link, p netip.Prefix) error {
	a := &netlink.Addr{IPNet: toNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	if p.Addr().IsLinkLocalUnicast() {
		a.Scope = int(netlink.SCOPE_LINK)
	}
	err := l.kernel.AddrAdd(k, a)
	switch {
	case err == nil, errors.Is(err, unix.EEXIST):
		return nil
	case p.Addr().Is6() && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)):
		return fmt.Errorf("add %s: IPv6 is disabled on this interface (net.ipv6.conf.%s.disable_ipv6): %w", p, k.Attrs().Name, err)
	case p.Addr().Is6() && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)):
		return fmt.Errorf("add %s: this kernel has no IPv6: %w", p, errors.Join(ErrUnsupported, err))
	}
	return fmt.Errorf("add %s: %w", p, err)
}

// removeAddresses removes what is ours and no longer wanted, and puts back
// what the kernel takes along: the other addresses of the subnet go with the
// first one, and all IPv4 routes with the last address.
func (l *Links) removeAddresses(s *state) []error {
	var errs []error
	for _, p := range s.addresses.remove {
		err := l.kernel.AddrDel(s.link, &netlink.Addr{IPNet: toNet(p)})
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			errs = append(errs, fmt.Errorf("remove %s: %w", p, err))
			s.addresses.keep = append(s.addresses.keep, p)
			continue
		}
		l.log.Info("address removed", "interface", s.entry.Name, "address", p)
	}
	s.entry.Addresses = s.addresses.keep
	if len(s.addresses.remove) > 0 {
		errs = append(errs, l.putBack(s)...)
	}
	return errs
}

// putBack restores the addresses and routes that should still be there.
func (l *Links) putBack(s *state) []error {
	now, err := l.look(s.link)
	if err != nil {
		return []error{err}
	}
	var errs []error
	have := prefixesOf(now.kernelA)
	for _, a := range s.kernelA {
		p, ok := prefixOf(a)
		if !ok || slices.Contains(s.addresses.remove, p) || slices.Contains(have, p) {
			continue
		}
		a.Flags &^= unix.IFA_F_SECONDARY
		if err := l.kernel.AddrAdd(s.link, &a); err != nil && !errors.Is(err, unix.EEXIST) {
			errs = append(errs, fmt.Errorf("put back %s: %w", p, err))
		}
	}
	for _, p := range s.addresses.keep {
		if !slices.Contains(have, p) {
			errs = append(errs, l.addAddress(s.link, p))
		}
	}
	return append(errs, l.putBackRoutes(s, now)...)
}

func (l *Links) putBackRoutes(s, now *state) []error {
	var errs []error
	for _, k := range s.kernelR {
		r, ok := routeOf(k)
		lost := ok && !slices.ContainsFunc(now.kernelR, func(n netlink.Route) bool {
			same, ok := routeOf(n)
			return ok && same == r
		})
		if !lost || slices.Contains(s.routes.remove, r) {
			continue
		}
		// A neighbour through a prefix that was ours cannot be reached any more.
		err := l.kernel.RouteAdd(&k)
		if err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENETUNREACH) {
			errs = append(errs, fmt.Errorf("put back the route to %s: %w", r.To, err))
		}
	}
	return errs
}

// removeRoutes removes what is ours and no longer wanted.
func (l *Links) removeRoutes(s *state) []error {
	var errs []error
	for _, r := range s.routes.remove {
		err := l.kernel.RouteDel(toRoute(r, s.entry.Index, prefixesOf(s.kernelA)))
		if err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("remove the route to %s: %w", describe(r), err))
			s.routes.keep = append(s.routes.keep, r)
		}
	}
	s.entry.Routes = s.routes.keep
	return errs
}

// addRoutes adds what is missing; addresses are those that should be there.
func (l *Links) addRoutes(s *state, addresses []netip.Prefix) []error {
	var errs []error
	for _, r := range s.taken {
		errs = append(errs, fmt.Errorf("add the route to %s: another one with this metric is there; set another metric: %w", describe(r), ErrNotOurs))
	}
	near := union(prefixesOf(s.kernelA), addresses)
	for _, r := range s.routes.add {
		err := l.addRoute(toRoute(r, s.entry.Index, near))
		if err == nil {
			l.log.Info("route added", "interface", s.entry.Name, "route", describe(r))
			continue
		}
		errs = append(errs, fmt.Errorf("add the route to %s: %w", describe(r), err))
		s.entry.Routes = slices.DeleteFunc(s.entry.Routes, func(q network.Route) bool { return q == r })
	}
	return errs
}

// addRoute adds a route. When another interface has one to there with the same
// metric, IPv4 takes ours behind it: then it serves what is bound to ours.
func (l *Links) addRoute(k *netlink.Route) error {
	err := l.kernel.RouteAdd(k)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	if k.Dst.IP.To4() == nil {
		return fmt.Errorf("another interface has one with this metric; set another metric: %w", err)
	}
	return l.kernel.RouteAppend(k)
}

func describe(r network.Route) string {
	text := r.To.String()
	if r.Via.IsValid() {
		text += " via " + r.Via.String()
	}
	return fmt.Sprintf("%s metric %d", text, r.Metric)
}
