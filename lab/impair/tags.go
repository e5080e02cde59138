package impair

import (
	"fmt"
	"slices"

	"github.com/g8os/g8os/lab/impair/link"
)

// set makes these links the ones there are. A list that is refused changes
// nothing.
func (s *server) set(links []Link) ([]Tagged, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted, err := index(links)
	if err != nil {
		return s.tagged, err
	}
	tagged, last, err := assign(s.tagged, s.last, links, wanted)
	if err != nil {
		return s.tagged, err
	}
	s.pump.set(func(had *table) (now table) {
		for _, t := range tagged {
			old := had[t.Tag]
			if t.Gone {
				now[t.Tag] = link.New(link.Spec{}, 0, 0)
			} else if l := wanted[t.Name]; old != nil && old.Spec() == l.Spec {
				now[t.Tag] = old
			} else {
				now[t.Tag] = link.New(l.Spec, l.Seed1, l.Seed2)
			}
		}
		return now
	})
	s.tagged, s.last = tagged, last
	return tagged, nil
}

// index checks links, by name.
func index(links []Link) (map[string]Link, error) {
	by := map[string]Link{}
	for _, l := range links {
		if err := l.Spec.Check(); err != nil {
			return nil, fmt.Errorf("link %s: %w", l.Name, err)
		}
		if _, twice := by[l.Name]; twice {
			return nil, fmt.Errorf("link %s is given twice", l.Name)
		}
		by[l.Name] = l
	}
	return by, nil
}

// assign gives every link a tag: the one it had, or the next after the last
// given that is free, so that a tag rests as long as can be before it means
// another link. What was gone already is forgotten.
func assign(had []Tagged, last int, links []Link, wanted map[string]Link) ([]Tagged, int, error) {
	var now []Tagged
	taken, named := map[int]bool{}, map[string]bool{}
	for _, t := range had {
		_, stays := wanted[t.Name]
		if t.Gone && !stays {
			continue
		}
		now = append(now, Tagged{Name: t.Name, Tag: t.Tag, Gone: !stays})
		taken[t.Tag], named[t.Name] = true, true
	}
	for _, l := range links {
		if named[l.Name] {
			continue
		}
		if len(taken) == MaxLinks {
			return nil, 0, fmt.Errorf("%d links misbehave, with those that have just stopped: a segment can have %d", len(now)+1, MaxLinks)
		}
		for last = last%MaxLinks + 1; taken[last]; {
			last = last%MaxLinks + 1
		}
		taken[last] = true
		now = append(now, Tagged{Name: l.Name, Tag: last})
	}
	slices.SortFunc(now, func(a, b Tagged) int { return a.Tag - b.Tag })
	return now, last, nil
}
