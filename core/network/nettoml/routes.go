package nettoml

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/g8os/g8os/core/network"
)

// routes reads routes = [{ to, via, metric }], or [[interface.NAME.routes]].
func (s section) routes(own []netip.Prefix, metric int) []network.Route {
	v, ok := s.take("routes", isList)
	if !ok {
		return nil
	}
	var list []network.Route
	for n, x := range v.list {
		if x.kind != isTable {
			s.bad(x.line, "routes", fmt.Sprintf("has %s in it", x.kind), `tables like { to = "10.0.0.0/8", via = "192.168.7.254" }`)
			continue
		}
		sec := section{table: x.table, path: fmt.Sprintf("%s.routes[%d]", s.path, n), sink: s.sink}
		r, ok := sec.route(own, metric)
		if !ok {
			continue
		}
		if slices.ContainsFunc(list, func(q network.Route) bool { return q.To == r.To && q.Metric == r.Metric }) {
			sec.bad(x.line, "to", fmt.Sprintf("%s with metric %d is there twice", r.To, r.Metric), "one way to each place, or another metric")
			continue
		}
		list = append(list, r)
	}
	return list
}

func (s section) route(own []netip.Prefix, metric int) (network.Route, bool) {
	for _, e := range s.table.entries {
		if !slices.Contains([]string{"to", "via", "metric"}, e.name) {
			s.sink.unknown(e, s.path, []string{"to", "via", "metric"})
		}
	}
	r := network.Route{Metric: s.number("metric", metric, 0, math.MaxInt32)}
	if s.has("via") {
		if r.Via = s.address("via"); !r.Via.IsValid() {
			return r, false
		}
		if wrong := unreachable(r.Via, own); wrong != "" {
			s.bad(s.line("via"), "via", fmt.Sprintf("%q %s", r.Via, wrong), "an address within a prefix of this interface")
			return r, false
		}
	}
	var ok bool
	if r.To, ok = s.destination(r.Via); !ok {
		return r, false
	}
	if r.Via.IsValid() && r.Via.Is4() != r.To.Addr().Is4() {
		s.bad(s.line("via"), "via", fmt.Sprintf("%s and %s are of two families", r.To, r.Via), "both IPv4 or both IPv6")
		return r, false
	}
	return r, true
}

// destination reads to: a prefix, or default, which has the family of via.
func (s section) destination(via netip.Addr) (netip.Prefix, bool) {
	const expect = "a network like 10.0.0.0/8, or default"
	v, ok := s.take("to", isString)
	if !ok {
		if !s.has("to") {
			s.bad(s.table.line, "to", "is missing", expect)
		}
		return netip.Prefix{}, false
	}
	if v.text == "default" {
		if !via.IsValid() {
			s.bad(v.line, "to", "default needs a via", expect)
			return netip.Prefix{}, false
		}
		return everywhere(via), true
	}
	p, err := netip.ParsePrefix(v.text)
	switch {
	case err != nil || p.Addr().Is4In6():
		s.bad(v.line, "to", fmt.Sprintf("%q is not a network", v.text), expect)
		return p, false
	case p != p.Masked():
		s.bad(v.line, "to", fmt.Sprintf("%q has bits set beyond its prefix", v.text), p.Masked().String())
		return p, false
	}
	return p, true
}
