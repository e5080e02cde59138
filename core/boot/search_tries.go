package boot

import (
	"slices"
	"time"
)

// tryAll asks for an AC on every path, in parallel.
func (m *Machine) tryAll(paths []Path) {
	s := m.search
	s.tries = nil
	for _, p := range paths {
		if !m.worthTrying(p.Way) {
			continue
		}
		t := try{id: m.newID(), path: p}
		s.tries = append(s.tries, t)
		m.emit(Try{ID: t.id, Path: p, Timeout: m.within(m.cfg.Timing.TryTimeout)})
	}
}

func (m *Machine) tried(e Tried) {
	if m.search == nil {
		return
	}
	if e.Late && !m.search.background {
		m.wasLate(e.ID)
	}
	for _, tries := range [][]try{m.search.tries, m.search.again} {
		for i := range tries {
			if t := &tries[i]; t.id == e.ID {
				t.done, t.err = true, e.Err
				if e.Err == "" {
					m.faults = e.Faults
				}
				if e.Err != "" {
					m.fail("%s over %s: %s", t.path.Controller, t.path.Interface, e.Err)
				}
			}
		}
	}
}

// askAgain asks the standing paths again while one interface after another is
// tried, so that an AC which was away for a minute is found when it is back
// and not a round later. It says whether one answered.
func (m *Machine) askAgain() bool {
	s := m.search
	if s.background || s.at == nil && s.state != searchResting {
		s.again, s.againAt = nil, time.Time{}
		return false
	}
	for _, t := range s.again {
		if t.done && t.err == "" {
			p := t.path
			s.found = &p
			m.leaveStop()
			return true
		}
	}
	if s.againAt.IsZero() {
		s.againAt = m.now.Add(m.againPause())
	}
	if !m.reached(s.againAt) {
		return false
	}
	s.turns++
	s.again, s.againAt = nil, m.now.Add(m.againPause())
	for _, path := range m.standing() {
		if s.at != nil && path.Interface == s.at.link.Name && path.Way != WayConfigured {
			continue // the stop itself looks after that one
		}
		t := try{id: m.newID(), path: path}
		s.again = append(s.again, t)
		m.emit(Try{ID: t.id, Path: path, Timeout: m.within(m.cfg.Timing.TryTimeout)})
	}
	return false
}

// againPause is the time between two looks at the standing paths: short at
// first, then no more than an AC with a whole grid before its door can bear.
func (m *Machine) againPause() time.Duration {
	return min(m.cfg.Timing.TryTimeout/2<<min(m.search.turns, 4), m.cfg.Timing.RestMax)
}

// triesDone says whether no answer is worth waiting for any more, and whether
// a path was found: the best way wins, then the order of the controllers. A
// path does not wait for one that is no better.
func (m *Machine) triesDone() (done, found bool) {
	s := m.search
	s.found = nil
	open := 0 // best rank still outstanding
	for _, t := range s.tries {
		switch {
		case !t.done:
			open = max(open, t.path.Way.rank())
		case t.err == "" && (s.found == nil || t.path.Way.rank() > s.found.Way.rank()):
			p := t.path
			s.found = &p
		}
	}
	late := m.reached(s.deadline)
	found = s.found != nil && (late || s.found.Way.rank() >= open)
	return found || late || open == 0, found
}

// standing is every path that is in force now, whatever put it there.
func (m *Machine) standing() []Path {
	var out []Path
	for _, p := range m.ports {
		out = append(out, p.paths(m.file.Controllers, m.cfg.Fallback)...)
	}
	return out
}

// fromStop is what is tried when an interface has got an address by way: the
// paths from it, and every better one that stands, in case the AC is back
// there at the same moment.
func (m *Machine) fromStop(p *port, way Way) []Path {
	return slices.DeleteFunc(m.standing(), func(x Path) bool {
		return x.Way.rank() <= way.rank() && (x.Way != way || x.Interface != p.link.Name)
	})
}
