package boot

import (
	"strings"
	"time"
)

// searchState is where a search for an AC stands.
type searchState string

// The states of a search. The comment of each one's function says where it
// leads; a test draws the machine from them.
const (
	searchReading     searchState = "reading"
	searchConfiguring searchState = "configuring"
	searchConfigured  searchState = "configured"
	searchNext        searchState = "next"
	searchLeasing     searchState = "leasing"
	searchLeased      searchState = "leased"
	searchClaiming    searchState = "claiming"
	searchClaimed     searchState = "claimed"
	searchResting     searchState = "resting"
	searchEnded       searchState = "ended"
)

// search is one look for an AC. In the foreground it goes on, round after
// round, until a path is found; in the background, while the node is managed
// over a lesser way, it makes one round of the better ways only.
type search struct {
	state      searchState
	background bool
	read       bool // net.toml has been read in this round
	queue      []stop
	queued     []stop // all that were lined up in this round; nil before
	at         *port
	deadline   time.Time
	tries      []try
	again      []try     // asked again, beside the stop: paths that stand from before
	againAt    time.Time // when to ask them the next time
	turns      int       // how often they were
	found      *Path
	attempt    int // rounds begun by this search
	leaseTurn  int // of them, those in which DHCP was asked
	asking     bool
	entered    time.Time
}

// stop is an interface still to be tried, and by which way.
type stop struct {
	port string
	way  Way
}

// try is one Try in flight or answered.
type try struct {
	id   int
	path Path
	done bool
	err  string
}

// startSearch begins to look for an AC. A search that is under way in the
// background is given up for one in the foreground.
func (m *Machine) startSearch(background bool) {
	if m.search != nil {
		m.leaveStop()
	}
	m.search = &search{background: background}
	m.beginRound()
}

func (m *Machine) beginRound() {
	s := m.search
	if !s.background {
		m.round++
	}
	s.attempt++
	s.read, s.asking = false, false
	s.queue, s.queued = nil, nil
	m.enter(searchReading, m.cfg.Timing.ApplyWait)
	m.emit(ReadConfig{})
}

func (m *Machine) enter(st searchState, within time.Duration) searchState {
	s := m.search
	s.state, s.entered, s.deadline = st, m.now, m.now.Add(within)
	return st
}

// advanceSearch moves the search as far as it goes now, and says whether it
// moved.
func (m *Machine) advanceSearch() bool {
	moved := false
	for m.search != nil {
		before := m.search.state
		after := m.searchStep(before)
		if m.askAgain() {
			after = searchEnded
		}
		if m.search == nil || after == before {
			return moved
		}
		m.search.state = after
		moved = true
		if after == searchEnded {
			m.endSearch()
			return true
		}
	}
	return moved
}

func (m *Machine) searchStep(st searchState) searchState {
	switch st {
	case searchReading:
		return m.reading()
	case searchConfiguring:
		return m.configuring()
	case searchConfigured:
		return m.triedConfigured()
	case searchNext:
		return m.nextStop()
	case searchLeasing:
		return m.leasing()
	case searchLeased:
		return m.triedLease()
	case searchClaiming:
		return m.claiming()
	case searchClaimed:
		return m.triedClaim()
	case searchResting:
		return m.resting()
	}
	return searchEnded
}

// endSearch hands the path that was found to the climb.
func (m *Machine) endSearch() {
	s := m.search
	m.dropIdleClaims()
	m.search = nil
	if s.found != nil {
		m.foundPath(*s.found, s.background)
	}
	m.scheduleBetter()
}

// resting is the pause between two rounds.
// Leads to: reading, ended.
func (m *Machine) resting() searchState {
	s := m.search
	if s.background {
		return searchEnded
	}
	if !m.reached(s.deadline) {
		return searchResting
	}
	m.beginRound()
	return searchReading
}

// searchWaits says in words what the search waits for.
func (m *Machine) searchWaits() string {
	s := m.search
	at := ""
	if s.at != nil {
		at = s.at.link.Name
	}
	switch s.state {
	case searchReading:
		return "net.toml to be read"
	case searchConfiguring:
		return "the configured addresses to come up"
	case searchConfigured, searchLeased, searchClaimed:
		return "an AC to prove itself: " + strings.Join(s.asked(), ", ")
	case searchLeasing:
		return "a DHCP lease on " + at
	case searchClaiming:
		return s.at.claimWaits()
	case searchResting:
		if len(m.ports) == 0 {
			return "a network interface"
		}
		return "the next round"
	}
	return ""
}

func (s *search) asked() []string {
	var out []string
	for _, t := range s.tries {
		if !t.done {
			out = append(out, t.path.Controller+" over "+t.path.Interface)
		}
	}
	return out
}
