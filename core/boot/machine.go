package boot

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/g8os/g8os/core/network"
	"github.com/g8os/g8os/core/network/nettoml"
)

// Config is what a machine is made with and never changes.
type Config struct {
	Hostname string
	// Seed makes the machine's jitter and first fallback pick; from the MAC.
	Seed uint64
	// Touched and Made are what a g8os_core before this one left behind:
	// interfaces with something of ours on them, and virtual interfaces.
	Touched, Made []string
	// LastFallback is the fallback address that last led to an AC, if any.
	LastFallback netip.Addr
	Timing       Timing
	// Fallback is the controller tried on a fallback address.
	Fallback string
}

// Machine is the boot machine. It is not safe for concurrent use: one shell
// owns it.
type Machine struct {
	cfg Config
	out []Effect
	now time.Time

	started    time.Time
	ports      []*port // by kernel index
	file       nettoml.Config
	problems   []string
	known      bool     // net.toml has been read, or waited for long enough
	made       []string // virtual interfaces that are ours
	ensuring   []string // virtual interfaces that are being made
	ensureErrs []Ensured
	mendAt     time.Time
	mends      int // of virtual interfaces, in a row
	lastID     int

	search *search // nil when nothing is looked for
	round  int

	climb    climbState
	path     Path // the one in use or being climbed
	op       int  // id of the effect that the climb waits for; 0: none
	due      time.Time
	failures int // in a row, of the present climb state
	prove    bool
	proofs   int // asked for since a session stood last
	climbs   int // begun since then
	late     int // handshakes in a row that were, since then (late.go)
	lateID   int // the last effect that had the deadline of before
	renew    bool

	session   int   // id of the established session; 0: none
	leaving   int   // id of the session that is replaced by op
	crossing  *Path // the path that op connects to, while managed
	nodeID    string
	managedAt time.Time
	unlocked  bool
	sshState  string // "", "asked", "up" or why it is down
	renewAt   time.Time
	betterAt  time.Time
	looked    int       // how often, since the node came to its present way
	noCable   time.Time // since when the interface in use has had no carrier

	faults       []string // armed at the AC that proved itself last
	described    moment   // of which waits and shown were made
	waits        string
	since        time.Time
	lastError    string
	managedAfter time.Duration
	shown        Phase
}

// New makes a machine. Its first event must be LinksChanged.
func New(cfg Config) *Machine {
	return &Machine{cfg: cfg, climb: climbSeeking, made: cfg.Made}
}

// Step lets one event happen at now and returns what the shell is to do, in
// order. The slice belongs to the caller.
func (m *Machine) Step(ev Event, now time.Time) []Effect {
	m.now, m.out = now, nil
	if m.started.IsZero() {
		m.started = now
	}
	m.take(ev)
	m.tick()
	m.advance()
	m.layPorts()
	m.describe()
	return m.out
}

// take records what an event says.
func (m *Machine) take(ev Event) {
	switch e := ev.(type) {
	case Tick:
	case LinksChanged:
		m.linksChanged(e.Links)
	case ConfigRead:
		m.configRead(e)
	case Ensured:
		m.ensured(e)
	case Applied:
		m.applied(e)
	case HeardARP:
		m.heardARP(e)
	case HeardDHCP:
		m.heardDHCP(e)
	case Tried:
		m.tried(e)
	case RenewCertificate:
		m.renewAt = m.now
	case Unlocked, Secured, Connected, Disconnected, SSHStarted, VolumeLost:
		m.climbed(e)
	}
}

// tick gives every part that has a timer its turn.
func (m *Machine) tick() {
	for _, p := range m.ports {
		p.tick(m)
	}
	m.watchCarrier()
	m.mend()
	m.lookForBetter()
}

// advance runs the search and the climb until neither moves.
func (m *Machine) advance() {
	for {
		moved := m.advanceSearch()
		moved = m.advanceClimb() || moved
		if !moved {
			return
		}
	}
}

// Next returns when the machine wants a Tick, zero if only an event can move
// it. It may be in the past: then it is due now.
func (m *Machine) Next() time.Time {
	var next time.Time
	for _, p := range m.ports {
		next = earlier(next, p.next())
	}
	if m.search != nil {
		next = earlier(earlier(next, m.search.deadline), m.search.againAt)
	}
	next = earlier(next, m.due)
	if m.climb == climbManaged && !m.noCable.IsZero() {
		next = earlier(next, m.noCable.Add(m.cfg.Timing.CarrierGrace))
	}
	if m.idle() {
		next = earlier(earlier(earlier(next, m.renewAt), m.betterAt), m.mendAt)
	}
	return next
}

// idle says that the node is managed and nothing is under way, so that it may
// renew its certificate or look for a better way.
func (m *Machine) idle() bool {
	return m.climb == climbManaged && m.session != 0 && m.op == 0 && m.search == nil
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// reached reports whether the instant t is set and has come.
func (m *Machine) reached(t time.Time) bool { return !t.IsZero() && !m.now.Before(t) }

func (m *Machine) emit(e ...Effect) { m.out = append(m.out, e...) }

func (m *Machine) newID() int {
	m.lastID++
	return m.lastID
}

// fail keeps the text of the last thing that went wrong, for the console.
func (m *Machine) fail(format string, args ...any) { m.lastError = fmt.Sprintf(format, args...) }

func (m *Machine) port(name string) *port {
	for _, p := range m.ports {
		if p.link.Name == name {
			return p
		}
	}
	return nil
}

// macs are the addresses of this machine's interfaces: with two of them on one
// segment, the kernel answers on one for what is on the other.
func (m *Machine) macs() []string {
	var out []string
	for _, p := range m.ports {
		if p.link.MAC != "" {
			out = append(out, p.link.MAC)
		}
	}
	return out
}

// linksChanged matches the ports with the kernel's interfaces. A port whose
// interface is gone goes with everything that was on it.
func (m *Machine) linksChanged(links []network.Link) {
	ports := make([]*port, 0, len(links))
	for _, l := range links {
		if l.Name == "lo" {
			continue
		}
		p := m.port(l.Name)
		if p == nil || p.link.Index != l.Index {
			p = m.newPort(l)
		}
		p.linkChanged(m, l)
		p.holdDeclared(m)
		ports = append(ports, p)
	}
	m.ports = ports
	m.queueLate()
	if m.search == nil && m.climb == climbSeeking {
		m.startSearch(false)
	}
}

// configRead takes a new net.toml. When the node is settled and the file did
// change, what it declares is put into force at once (trap T13).
func (m *Machine) configRead(e ConfigRead) {
	changed := !reflect.DeepEqual(m.file, e.Config)
	m.file, m.problems, m.known = e.Config, e.Problems, true
	if changed {
		for _, p := range m.ports {
			p.declare(m, m.file)
		}
	}
	m.removeOld()
	m.mendAsked()
	if s := m.search; s != nil {
		s.read = true
	}
	if changed && m.climb == climbManaged && m.search == nil {
		m.betterAt = m.now
	}
}

// removeOld takes away the virtual interfaces that net.toml no longer names.
func (m *Machine) removeOld() {
	m.made = slices.DeleteFunc(m.made, func(name string) bool {
		i, ok := m.file.Interface(name)
		if ok && i.Kind != nettoml.Physical {
			return false
		}
		m.emit(Remove{name})
		return true
	})
}
