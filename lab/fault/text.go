package fault

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// field is one word of a fault's text form.
type field struct {
	name string
	get  func(*Fault) string
	set  func(*Fault, string) error
}

// fields are in the order in which they are written.
var fields = []field{
	{"on", func(f *Fault) string { return f.On }, func(f *Fault, v string) error { f.On = v; return nil }},
	{"nic", func(f *Fault) string { return f.NIC }, func(f *Fault, v string) error { f.NIC = v; return nil }},
	{"from", func(f *Fault) string { return f.From }, func(f *Fault, v string) error { f.From = v; return nil }},
	{"to", func(f *Fault) string { return f.To }, func(f *Fault, v string) error { f.To = v; return nil }},
	{"nodes", func(f *Fault) string { return strings.Join(f.Nodes, ",") }, func(f *Fault, v string) error { f.Nodes = strings.Split(v, ","); return nil }},
	{"percent", func(f *Fault) string { return unless(f.Percent == 0, strconv.FormatFloat(f.Percent, 'g', -1, 64)) }, setPercent},
	{"delay", func(f *Fault) string { return unless(f.Delay == 0, f.Delay.String()) }, func(f *Fault, v string) error { return f.Delay.UnmarshalText([]byte(v)) }},
	{"jitter", func(f *Fault) string { return unless(f.Jitter == 0, f.Jitter.String()) }, func(f *Fault, v string) error { return f.Jitter.UnmarshalText([]byte(v)) }},
	{"rate", func(f *Fault) string { return unless(f.Rate == 0, f.Rate.String()) }, func(f *Fault, v string) error { return f.Rate.UnmarshalText([]byte(v)) }},
	{"address", func(f *Fault) string { return unless(!f.Address.IsValid(), f.Address.String()) }, setAddress},
	{"by", func(f *Fault) string { return unless(f.By == 0, f.By.String()) }, func(f *Fault, v string) error { return f.By.UnmarshalText([]byte(v)) }},
	{"for", func(f *Fault) string { return unless(f.For == 0, f.For.String()) }, func(f *Fault, v string) error { return f.For.UnmarshalText([]byte(v)) }},
}

func unless(absent bool, text string) string {
	if absent {
		return ""
	}
	return text
}

func setPercent(f *Fault, v string) (err error) {
	f.Percent, err = strconv.ParseFloat(strings.TrimSuffix(v, "%"), 64)
	if err != nil || math.IsNaN(f.Percent) || math.IsInf(f.Percent, 0) {
		return fmt.Errorf("%q: want a number above 0 to 100", v)
	}
	return nil
}

func setAddress(f *Fault, v string) (err error) {
	if f.Address, err = netip.ParseAddr(v); err != nil {
		return fmt.Errorf("%q: want an IPv4 address", v)
	}
	return nil
}

// Set gives a field its value as text.
func (f *Fault) Set(name, value string) error {
	i := slices.IndexFunc(fields, func(x field) bool { return x.name == name })
	if i < 0 {
		var names []string
		for _, x := range fields {
			names = append(names, x.name)
		}
		return fmt.Errorf("%s=%s: no such word; want both, %s", name, value, strings.Join(names, ", "))
	}
	if err := fields[i].set(f, value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// given lists the fields that are set, by name.
func (f Fault) given() []string {
	var names []string
	for _, x := range fields {
		if x.get(&f) != "" {
			names = append(names, x.name)
		}
	}
	if f.Both {
		names = append(names, "both")
	}
	return names
}

// String writes the fault as Parse reads it.
func (f Fault) String() string {
	words := []string{f.Kind}
	for _, x := range fields {
		if v := x.get(&f); v != "" {
			words = append(words, x.name+"="+v)
		}
	}
	if f.Both {
		words = append(words, "both")
	}
	return strings.Join(words, " ")
}

// Parse reads the text form: a kind, then words NAME=VALUE and "both", in any
// order. It does not look at whether they make sense; Check does.
func Parse(text string) (Fault, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return Fault{}, fmt.Errorf("fault %q: want a kind, such as partition or dhcp-silent", text)
	}
	f := Fault{Kind: words[0]}
	for i, w := range words[1:] {
		name, value, ok := strings.Cut(w, "=")
		twice := slices.ContainsFunc(words[1:1+i], func(other string) bool {
			before, _, _ := strings.Cut(other, "=")
			return before == name
		})
		switch {
		case twice:
			return Fault{}, fmt.Errorf("fault %q: %s is given twice", text, name)
		case w == "both":
			f.Both = true
			continue
		case !ok || value == "":
			return Fault{}, fmt.Errorf("fault %q: %q: want NAME=VALUE, or both", text, w)
		}
		if err := f.Set(name, value); err != nil {
			return Fault{}, fmt.Errorf("fault %q: %w", text, err)
		}
	}
	return f, nil
}

// String writes a schedule's entry as ParseSchedule reads it.
func (t Timed) String() string { return t.At.String() + " " + t.Fault.String() }

// String writes a schedule as ParseSchedule reads it.
func (s Schedule) String() string {
	var b strings.Builder
	for _, t := range s {
		b.WriteString(t.String() + "\n")
	}
	return b.String()
}

// ParseSchedule reads one fault a line, each after the time at which it
// begins; what follows # is left out.
func ParseSchedule(text string) (Schedule, error) {
	var s Schedule
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		at, rest, _ := strings.Cut(line, " ")
		var t Timed
		err := t.At.UnmarshalText([]byte(at))
		if err == nil && t.At < 0 {
			err = fmt.Errorf("%s: want a time from 0", at)
		}
		if err == nil {
			t.Fault, err = Parse(rest)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		s = append(s, t)
	}
	slices.SortStableFunc(s, func(a, b Timed) int { return int(min(max(a.At-b.At, -1), 1)) })
	return s, nil
}
