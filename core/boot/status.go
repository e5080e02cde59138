package boot

import (
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Phase is the phase the node is in. It is managed only while a session
// stands.
func (m *Machine) Phase() Phase {
	switch m.climb {
	case climbUnlocking:
		return PhaseUnlock
	case climbSecuring:
		return PhaseSecure
	case climbOpening:
		return PhaseSSH
	case climbMounting, climbConnecting:
		return PhaseSandbox
	case climbManaged:
		return PhaseManaged
	}
	return PhaseNetwork
}

// Path is the path in use, or the one last used.
func (m *Machine) Path() Path { return m.path }

// Managed says whether a session stands.
func (m *Machine) Managed() bool { return m.climb == climbManaged && m.session != 0 }

// moment is all that decides what the node is said to wait for.
type moment struct {
	climb     climbState
	failures  int
	lastError string
	ports     int
	search    *search
	state     searchState
	at        *port
	try       int // the first of those under way
	open      int // how many of them have no answer
	allTaken  int
}

func (m *Machine) moment() moment {
	w := moment{climb: m.climb, failures: m.failures, lastError: m.lastError, ports: len(m.ports), search: m.search}
	s := m.search
	if s == nil {
		return w
	}
	w.state, w.at = s.state, s.at
	for i, t := range s.tries {
		if i == 0 {
			w.try = t.id
		}
		if !t.done {
			w.open++
		}
	}
	if s.at != nil && s.at.fallback != nil {
		w.allTaken = s.at.fallback.allTaken
	}
	return w
}

// describe notes since when the node waits for what it waits for.
func (m *Machine) describe() {
	at := m.moment()
	if at == m.described && !m.since.IsZero() {
		return
	}
	m.described = at
	waits, phase := m.waitsFor(), m.Phase()
	if waits != m.waits || phase != m.shown || m.since.IsZero() {
		m.waits, m.shown, m.since = waits, phase, m.now
	}
}

func (m *Machine) waitsFor() string {
	retrying := ""
	if m.failures > 0 {
		retrying = " (" + m.lastError + ")"
	}
	switch m.climb {
	case climbSeeking:
		if m.search == nil {
			return "a network interface"
		}
		return m.searchWaits()
	case climbUnlocking:
		return "the AC to release the key" + retrying
	case climbSecuring:
		return "a client certificate" + retrying
	case climbOpening:
		return "sshd"
	case climbMounting:
		return "the sandbox"
	case climbConnecting:
		return "a session with the AC" + retrying
	}
	return ""
}

// Status describes the machine for the console and the local socket. What only
// the shell knows (host name, fingerprint, process) is left empty.
func (m *Machine) Status() api.Status {
	s := api.Status{
		Hostname: m.cfg.Hostname, NodeID: api.NodeID(m.nodeID),
		Phase: string(m.shown), WaitsFor: m.waits, Since: m.since, Round: m.round,
		LastError: m.lastError, Warnings: m.warnings(),
		ManagedAfterMS: int64(m.managedAfter / time.Millisecond),
	}
	if m.climb != climbSeeking {
		w := m.path.Where(m.shown)
		s.Way, s.Interface, s.Address, s.Controller = w.Way, w.Interface, w.Address, m.path.Controller
	}
	if p := m.port(m.path.Interface); p != nil {
		s.MAC = p.link.MAC
	}
	for _, p := range m.ports {
		if s.MAC == "" && p.link.Card {
			s.MAC = p.link.MAC
		}
	}
	return s
}

// warnings lists what does not stop the boot but wants somebody's attention.
func (m *Machine) warnings() []string {
	out := append([]string{}, m.problems...)
	out = append(out, m.missing()...)
	for _, p := range m.ports {
		for _, h := range p.configured {
			if h.state == holdTaken {
				out = append(out, h.warning(p))
			}
		}
		if p.applyErr != "" {
			out = append(out, p.applyErr)
		}
		if p.fallback != nil && p.fallback.allTaken > 0 {
			out = append(out, p.claimWaits())
		}
	}
	if len(m.faults) > 0 {
		out = append(out, "the AC had faults armed when it was found: "+strings.Join(m.faults, ", "))
	}
	for _, e := range m.ensureErrs {
		out = append(out, e.Err)
	}
	if m.sshState != "" && m.sshState != sshAsked && m.sshState != sshUp {
		out = append(out, m.sshState)
	}
	return out
}

// missing names the interfaces of net.toml that are not there.
func (m *Machine) missing() []string {
	names := []string{"lo"}
	for _, p := range m.ports {
		names = append(names, p.link.Name)
	}
	var out []string
	for _, p := range m.file.Missing(names) {
		out = append(out, p.String())
	}
	return out
}
