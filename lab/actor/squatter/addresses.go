package squatter

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// span is a run of addresses, both ends included.
type span struct{ first, last netip.Addr }

// Addresses is a set of IPv4 addresses, as a person writes it.
type Addresses []span

// ParseAddresses reads addresses separated by commas: 10.254.254.7, a range of
// last bytes 10.254.254.1-253, a range 10.0.0.1-10.0.1.9, a prefix 10.0.0.0/24.
func ParseAddresses(text string) (Addresses, error) {
	var set Addresses
	for _, part := range strings.Split(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		s, err := parseSpan(part)
		if err != nil || !s.first.Is4() || !s.last.Is4() || s.last.Less(s.first) {
			return nil, fmt.Errorf("addresses %q: want 10.254.254.7, 10.254.254.1-253, 10.0.0.1-10.0.1.9 or 10.0.0.0/24", part)
		}
		set = append(set, s)
	}
	return set, nil
}

func parseSpan(text string) (span, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return span{prefix.Masked().Addr(), lastOf(prefix)}, nil
	}
	from, to, isRange := strings.Cut(text, "-")
	first, err := netip.ParseAddr(from)
	if err != nil || !isRange {
		return span{first, first}, err
	}
	if n, err := strconv.ParseUint(to, 10, 8); err == nil && first.Is4() {
		b := first.As4()
		b[3] = byte(n)
		return span{first, netip.AddrFrom4(b)}, nil
	}
	last, err := netip.ParseAddr(to)
	return span{first, last}, err
}

func lastOf(p netip.Prefix) netip.Addr {
	if !p.Addr().Is4() {
		return netip.Addr{}
	}
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(b)
}

// Has says whether a is in the set.
func (s Addresses) Has(a netip.Addr) bool {
	for _, x := range s {
		if !a.Less(x.first) && !x.last.Less(a) {
			return true
		}
	}
	return false
}

func (s Addresses) String() string {
	words := make([]string, 0, len(s))
	for _, x := range s {
		if x.first == x.last {
			words = append(words, x.first.String())
			continue
		}
		words = append(words, x.first.String()+"-"+x.last.String())
	}
	return strings.Join(words, ",")
}

// Range returns the ends of a set that is one run of addresses.
func (s Addresses) Range() (first, last netip.Addr, ok bool) {
	if len(s) != 1 {
		return netip.Addr{}, netip.Addr{}, false
	}
	return s[0].first, s[0].last, true
}
