package alarm

import (
	"cmp"
	"slices"
	"time"
)

// most bounds the alarms that are watched at a time: rules times what they are about.
const most = 1024

// Machine watches readings. It is not safe for concurrent use.
type Machine struct {
	rules  []Rule
	alarms map[name]*alarm
}

type name struct{ rule, subject string }

// alarm is one rule on one subject.
type alarm struct {
	rule   Rule
	raised bool
	turns  time.Time // since when the readings are such that raised would turn; zero: they are not
}

// New makes a Machine with rules, whose names differ.
func New(rules []Rule) *Machine { return &Machine{rules: rules, alarms: map[name]*alarm{}} }

// SetRules replaces the rules. What is raised by a rule that is as before stays so;
// all else is cleared, and watched anew.
func (m *Machine) SetRules(rules []Rule) []Change {
	var changes []Change
	for _, n := range m.names() {
		if a := m.alarms[n]; !slices.Contains(rules, a.rule) {
			changes = append(changes, m.forget(n)...)
		}
	}
	m.rules = rules
	return changes
}

// Step takes the readings of a moment: all that there are.
func (m *Machine) Step(readings []Reading, now time.Time) []Change {
	var changes []Change
	there := map[name]bool{}
	for _, x := range readings {
		for _, r := range m.rules {
			if !r.about(x) {
				continue
			}
			n := name{r.Name, x.Subject}
			there[n] = true
			if c, turned := m.one(n, r, x.Value, now); turned {
				changes = append(changes, c)
			}
		}
	}
	for _, n := range m.names() {
		if !there[n] {
			changes = append(changes, m.forget(n)...)
		}
	}
	return changes
}

func (m *Machine) one(n name, r Rule, value float64, now time.Time) (Change, bool) {
	a := m.alarms[n]
	if a == nil {
		if len(m.alarms) >= most {
			return Change{}, false
		}
		a = &alarm{rule: r}
		m.alarms[n] = a
	}
	would := value >= r.Above && !a.raised || value < r.Clear && a.raised
	switch {
	case !would:
		a.turns = time.Time{}
		return Change{}, false
	case a.turns.IsZero() || now.Before(a.turns):
		a.turns = now
	}
	if now.Sub(a.turns) < r.For {
		return Change{}, false
	}
	a.raised, a.turns = !a.raised, time.Time{}
	return Change{Rule: r, Subject: n.subject, Value: value, Raised: a.raised}, true
}

// forget ends the watch of one.
func (m *Machine) forget(n name) []Change {
	a := m.alarms[n]
	delete(m.alarms, n)
	if !a.raised {
		return nil
	}
	return []Change{{Rule: a.rule, Subject: n.subject, Gone: true}}
}

// Raised is how many alarms are.
func (m *Machine) Raised() (n int) {
	for _, a := range m.alarms {
		if a.raised {
			n++
		}
	}
	return n
}

// names are those of all alarms, in a fixed order.
func (m *Machine) names() []name {
	list := make([]name, 0, len(m.alarms))
	for n := range m.alarms {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b name) int {
		return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.subject, b.subject))
	})
	return list
}
