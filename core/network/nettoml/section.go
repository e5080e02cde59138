package nettoml

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/g8os/g8os/core/problem"
)

// section reads the keys of one table, and reports those it cannot use.
type section struct {
	table *table
	path  string
	sink  *sink
}

func (s section) bad(line int, key, wrong, expect string) {
	s.sink.add(line, dotted(s.path, key), wrong, expect)
}

// take returns the value of a key when it is there and of the wanted kind.
func (s section) take(key string, want valueKind) (value, bool) {
	e := s.table.get(key)
	if e == nil {
		return value{}, false
	}
	if e.value.kind != want {
		s.bad(e.line, key, fmt.Sprintf("is %s", e.value.kind), string(want))
		return value{}, false
	}
	return e.value, true
}

func (s section) has(key string) bool { return s.table.get(key) != nil }

// line is where a key is, or else its section.
func (s section) line(key string) int {
	if e := s.table.get(key); e != nil {
		return e.line
	}
	return s.table.line
}

// word reads a string out of a few known ones. A near miss is reported and
// taken for the word that was meant: a mistyped "none" must not cost an
// interface its peace.
func (s section) word(key string, otherwise string, known ...string) string {
	v, ok := s.take(key, isString)
	if !ok {
		return otherwise
	}
	for _, w := range known {
		if v.text == w {
			return w
		}
	}
	taken := problem.Closest(v.text, known)
	wrong := fmt.Sprintf("%q is not known", v.text)
	if taken != "" {
		wrong += fmt.Sprintf(" (taken as %s)", taken)
		otherwise = taken
	}
	s.bad(v.line, key, wrong, "one of "+strings.Join(known, ", "))
	return otherwise
}

// number reads an integer between low and high.
func (s section) number(key string, otherwise, low, high int) int {
	v, ok := s.take(key, isInteger)
	if !ok {
		return otherwise
	}
	if v.number < int64(low) || v.number > int64(high) {
		s.bad(v.line, key, fmt.Sprintf("%d is out of range", v.number), fmt.Sprintf("%d to %d", low, high))
		return otherwise
	}
	return int(v.number)
}

// name reads the name of an interface.
func (s section) name(key string) string {
	v, ok := s.take(key, isString)
	if !ok {
		return ""
	}
	if wrong := wrongName(v.text); wrong != "" {
		s.bad(v.line, key, fmt.Sprintf("%q %s", v.text, wrong), "the name of an interface")
		return ""
	}
	return v.text
}

// names reads a list of names of interfaces, each once.
func (s section) names(key string) []string {
	var names []string
	for _, v := range s.strings(key) {
		wrong := wrongName(v.text)
		for _, n := range names {
			if n == v.text {
				wrong = "is there twice"
			}
		}
		if wrong != "" {
			s.bad(v.line, key, fmt.Sprintf("%q %s", v.text, wrong), "the name of an interface, once")
			continue
		}
		s.sink.saw(v.line, dotted(s.path, key), v.text)
		names = append(names, v.text)
	}
	return names
}

// strings reads a list of strings; a single string is a list of one.
func (s section) strings(key string) []value {
	e := s.table.get(key)
	if e == nil {
		return nil
	}
	return stringsOf(e.value, dotted(s.path, key), s.sink)
}

func stringsOf(v value, key string, s *sink) []value {
	if v.kind == isString {
		return []value{v}
	}
	if v.kind != isList {
		s.add(v.line, key, fmt.Sprintf("is %s", v.kind), "a string or a list of strings")
		return nil
	}
	var good []value
	for _, x := range v.list {
		if x.kind != isString {
			s.add(x.line, key, fmt.Sprintf("has %s in it", x.kind), "only strings")
			continue
		}
		good = append(good, x)
	}
	return good
}

// address reads one address of a host.
func (s section) address(key string) netip.Addr {
	v, ok := s.take(key, isString)
	if !ok {
		return netip.Addr{}
	}
	a, wrong := parseAddr(v.text)
	if wrong != "" {
		s.bad(v.line, key, fmt.Sprintf("%q %s", v.text, wrong), "an address like 192.168.7.1 or fd00:7::1")
	}
	return a
}

// parseAddr returns the address, or the zero one and what is wrong.
func parseAddr(text string) (netip.Addr, string) {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return netip.Addr{}, "is not an address"
	case a.Zone() != "" || a.Is4In6():
		return netip.Addr{}, "is not a plain address"
	}
	return a, ""
}

// wrongName says why a name cannot be one of an interface, or "".
func wrongName(name string) string {
	switch {
	case name == "lo":
		return "is the loopback, which is always left alone"
	case name == "" || name == "." || name == ".." || name == "all" || name == "default":
		return "cannot be the name of an interface"
	case len(name) > 15:
		return "is longer than the 15 bytes that the kernel allows"
	}
	for _, r := range name {
		if r <= ' ' || r > '~' || strings.ContainsRune(`/:%"'\`, r) {
			return "has a character that an interface cannot have"
		}
	}
	return ""
}
