package boot

import (
	"fmt"
	"time"
)

// climbState is where the node stands between having a path and being managed.
type climbState string

// The states of the climb. The comment of each one's function says where it
// leads; a test draws the machine from them.
const (
	climbSeeking    climbState = "seeking"    // phase network
	climbUnlocking  climbState = "unlocking"  // phase unlock
	climbSecuring   climbState = "securing"   // phase secure
	climbOpening    climbState = "opening"    // phase ssh
	climbMounting   climbState = "mounting"   // phase sandbox
	climbConnecting climbState = "connecting" // phase managed, no session yet
	climbManaged    climbState = "managed"
)

// foundPath takes a proven path: upwards from here, or, when the node is
// managed already, across to the better way.
func (m *Machine) foundPath(p Path, background bool) {
	if !background || m.session == 0 {
		m.path = p
		m.goTo(climbUnlocking)
		if m.climbs > 1 { // the first time again is at once
			m.due = m.now.Add(m.climbPause(m.climbs - 2))
		}
		m.climbs++
		return
	}
	m.leaving = m.session
	m.op = m.newID()
	wait := m.within(m.cfg.Timing.ConnectWait)
	m.emit(Connect{ID: m.op, Path: p, Timeout: wait})
	m.due = m.now.Add(wait + time.Second)
	m.crossing = &p
}

// climbPause is the time before climb n in a row that led to no session that
// stood. Without it an AC that answers, but does not serve, is asked by a whole
// grid as fast as it can answer.
func (m *Machine) climbPause(n int) time.Duration {
	return backoff(m.cfg.Timing.RetryMin, m.cfg.Timing.RetryMax, max(0, n), mix(m.cfg.Seed, uint64(m.lastID)))
}

// goTo enters a state of the climb. What went before is forgotten only when the
// node was managed for a while: a session that is ended at once is no success.
func (m *Machine) goTo(c climbState) {
	if m.climb == climbManaged && m.now.Sub(m.managedAt) >= m.cfg.Timing.Standing {
		m.climbs, m.proofs, m.late = 0, 0, 0
	}
	m.climb, m.op, m.due, m.failures = c, 0, time.Time{}, 0
}

// advanceClimb starts what the present state needs, and says whether it moved.
func (m *Machine) advanceClimb() bool {
	before := m.climb
	switch m.climb {
	case climbSeeking:
		if m.search == nil && len(m.ports) > 0 {
			m.startSearch(false)
		}
	case climbUnlocking:
		m.attempt(func(id int, wait time.Duration) Effect {
			return Unlock{ID: id, Path: m.path, Prove: m.prove, Timeout: wait}
		}, m.cfg.Timing.UnlockWait)
	case climbSecuring:
		m.attempt(func(id int, wait time.Duration) Effect {
			return Secure{ID: id, Path: m.path, Renew: m.renew, Timeout: wait}
		}, m.cfg.Timing.SecureWait)
	case climbOpening:
		m.opening()
	case climbMounting:
		m.mounting()
	case climbConnecting:
		m.attempt(func(id int, wait time.Duration) Effect {
			return Connect{ID: id, Path: m.path, Timeout: wait}
		}, m.cfg.Timing.ConnectWait)
	case climbManaged:
		m.managed()
	}
	return m.climb != before
}

// attempt emits an effect when none is in flight and its time has come. An
// answer that does not come is a failure like any other: no phase hangs.
func (m *Machine) attempt(effect func(id int, wait time.Duration) Effect, least time.Duration) {
	switch {
	case m.op == 0 && (m.due.IsZero() || m.reached(m.due)):
		wait := m.within(least)
		m.op = m.newID()
		m.due = m.now.Add(wait + time.Second)
		m.emit(effect(m.op, wait))
	case m.op != 0 && m.reached(m.due):
		m.failed(Failure{Kind: Unreachable, Err: fmt.Sprintf("no answer within %s", m.within(least))})
	}
}

// retry lets the present state try again after a growing, jittered pause.
func (m *Machine) retry(f Failure) {
	m.op = 0
	m.fail("%s", f.Err)
	most := m.cfg.Timing.RetryMax
	if f.Kind == Refused {
		most = m.cfg.Timing.RefusedMax
	}
	m.due = m.now.Add(backoff(m.cfg.Timing.RetryMin, most, m.failures, mix(m.cfg.Seed, uint64(m.lastID))))
	m.due = m.due.Add(max(0, f.After-m.due.Sub(m.now))) // not before the AC wants to be asked
	m.failures++
}

// climbed takes the answers to the climb's effects.
func (m *Machine) climbed(ev Event) {
	switch e := ev.(type) {
	case Unlocked:
		if m.answers(climbUnlocking, e.ID, e.Failure) {
			m.nodeID, m.unlocked, m.prove = e.NodeID, true, false
			m.goTo(climbSecuring)
		}
	case Secured:
		m.secured(e)
	case SSHStarted:
		m.sshStarted(e)
	case Connected:
		m.connected(e)
	case Disconnected:
		m.disconnected(e)
	case VolumeLost:
		m.volumeLost(e)
	}
}

// answers sorts an answer: true when it is the awaited one and a success.
func (m *Machine) answers(c climbState, id int, f Failure) bool {
	if m.climb != c || id != m.op {
		return false
	}
	if f.Kind != OK {
		m.failed(f)
		return false
	}
	return true
}

// failed decides where a failed attempt leads, by what is to be done about it:
// an AC that is gone is looked for again after Patience attempts; a refusal is
// asked again here, visibly; a certificate that does not hold is replaced from
// unlock on; what is broken on this node is tried again slowly.
func (m *Machine) failed(f Failure) {
	if f.Late {
		m.wasLate(m.op)
	}
	m.retry(f)
	switch f.Kind {
	case Unreachable:
		if m.failures >= m.cfg.Timing.Patience {
			m.seek()
		}
	case Refused:
		if m.climb == climbSecuring || m.climb == climbConnecting {
			m.proveAgain()
		}
	case Distrusted:
		m.proveAgain()
	}
}

// seek looks for an AC from the beginning. sshd, jobs and the volume stay.
func (m *Machine) seek() {
	m.goTo(climbSeeking)
	m.startSearch(false)
}

// proveAgain makes the node whole again from unlock on: the certificate is
// replaced although it may look good from here.
func (m *Machine) proveAgain() {
	m.goTo(climbUnlocking)
	m.prove, m.renew = true, true
	m.due = m.now.Add(backoff(m.cfg.Timing.RetryMin, m.cfg.Timing.RetryMax, m.proofs, mix(m.cfg.Seed, uint64(m.lastID))))
	m.proofs++
}

// secured takes the answer to Secure, on the way up or while managed.
// Securing leads to: opening, unlocking, seeking.
func (m *Machine) secured(e Secured) {
	if m.climb == climbManaged && e.ID == m.op {
		m.renewed(e)
		return
	}
	if m.answers(climbSecuring, e.ID, e.Failure) {
		m.renewAt, m.renew = e.RenewAt, false
		m.goTo(climbOpening)
	}
}

// opening has sshd started once; it may fail without holding up the node,
// and the shell goes on trying.
// Leads to: mounting.
func (m *Machine) opening() {
	switch m.sshState {
	case "":
		m.sshState = sshAsked
		m.due = m.now.Add(m.cfg.Timing.ApplyWait)
		m.emit(StartSSH{})
	case sshAsked:
		if m.reached(m.due) {
			m.goTo(climbMounting)
		}
	default:
		m.goTo(climbMounting)
	}
}

// What sshState may be besides the reason why sshd is down.
const (
	sshAsked = "asked"
	sshUp    = "up"
)

func (m *Machine) sshStarted(e SSHStarted) {
	m.sshState = sshUp
	if e.Err != "" {
		m.sshState = e.Err
	}
}

// mounting has nothing to wait for as long as no sandbox is declared.
// Leads to: connecting.
func (m *Machine) mounting() { m.goTo(climbConnecting) }

// volumeLost starts again from unlock: without its volume the node has neither
// certificate nor sshd.
func (m *Machine) volumeLost(e VolumeLost) {
	m.fail("the private volume is gone: %s", e.Err)
	m.unlocked, m.sshState = false, ""
	if m.climb == climbSeeking || m.climb == climbUnlocking {
		return
	}
	m.dropSession()
	m.goTo(climbUnlocking)
}

func (m *Machine) dropSession() {
	if m.session != 0 {
		m.emit(Disconnect{m.session})
		m.session = 0
	}
	if m.crossing != nil {
		m.emit(Disconnect{m.op})
		m.crossing = nil
	}
	if m.search != nil && m.search.background {
		m.leaveStop()
		m.search = nil
	}
}
