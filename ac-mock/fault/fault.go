// Package fault makes an AC misbehave on purpose, by name.
//
// A Set holds the faults that are armed now. It promises that nothing can be
// armed unless the AC was started with faults on, that a fault armed for a time
// is gone when that time is over, and that what is armed can be listed at any
// moment. It has no clock of its own: every question carries the instant it is
// asked at. It is not the misbehaviour itself: that is done at the layer that
// a name belongs to (listener, handshake, reply, session), which asks here.
package fault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/g8os/g8os/core/api"
)

// The faults of an AC.
const (
	Outage          = "outage"
	HangAfterAccept = "hang-after-accept"
	ExpiredCert     = "expired-cert"
	WrongCA         = "wrong-ca"
	Revoke          = "revoke"
	RefuseUnlock    = "refuse-unlock"
	Slow            = "slow"
	CorruptReply    = "corrupt-reply"
	GarbageReply    = "garbage-reply"
	ClockSkew       = "clock-skew"
	LoseSession     = "lose-session"
)

// Amounts that the faults work with.
const (
	SlowDelay   = 3 * time.Second        // how much later everything is answered under Slow
	Skew        = 30 * 24 * time.Hour    // how far ahead the AC's clock is under ClockSkew
	SessionLife = 500 * time.Millisecond // how long a new session lasts under LoseSession
)

// Kind describes one fault to an operator.
type Kind struct {
	Name string
	Doc  string
	// PerNode is whether the fault can be armed towards some nodes only. Before
	// a node has said who it is, it cannot be told from others.
	PerNode bool
}

var kinds = []Kind{
	{ClockSkew, "the AC's clock, as told to nodes, is 30 days ahead", false},
	{CorruptReply, "bytes in the middle of every reply to a node are flipped", true},
	{ExpiredCert, "the AC shows a server certificate that ran out an hour ago", false},
	{GarbageReply, "nodes get random bytes where an HTTP reply belongs", true},
	{HangAfterAccept, "connections are accepted, then nothing is ever said on them", false},
	{LoseSession, "sessions of nodes are cut; new ones are cut half a second after they begin", true},
	{Outage, "connections are accepted and reset; sessions are cut. For some nodes: as soon as they say who they are", true},
	{RefuseUnlock, "every unlock is refused", true},
	{Revoke, "the certificates that nodes hold when it is armed are revoked, for good; nodes have to heal themselves", true},
	{Slow, "every answer to a node comes 3 s late", true},
	{WrongCA, "the AC shows a server certificate of a stranger's CA", false},
}

// Kinds lists all faults by name.
func Kinds() []Kind { return slices.Clone(kinds) }

// Errors of Arm and Clear.
var (
	ErrOff     = errors.New("this AC was started without faults")
	ErrUnknown = errors.New("no such fault")
)

// Set is the faults armed at one AC. All methods may be called concurrently.
type Set struct {
	enabled bool

	mu    sync.RWMutex
	armed map[string]api.Fault
}

// NewSet makes an empty Set. If not enabled it stays empty: Arm fails.
func NewSet(enabled bool) *Set { return &Set{enabled: enabled, armed: map[string]api.Fault{}} }

// Enabled says whether faults can be armed at all.
func (s *Set) Enabled() bool { return s.enabled }

// Arm makes a fault hold from now on, for f.ForMS milliseconds (0: until it is
// cleared), and returns it as armed. Arming one again replaces it.
func (s *Set) Arm(f api.Fault, now time.Time) (api.Fault, error) {
	if !s.enabled {
		return f, fmt.Errorf("arm %q: %w; start it with --faults (faults = true in ac.toml)", f.Name, ErrOff)
	}
	k, err := find(f.Name)
	if err != nil {
		return f, err
	}
	if len(f.Nodes) > 0 && !k.PerNode {
		return f, fmt.Errorf("arm %q for %d nodes: it works before a node is known, so it holds towards all or none", f.Name, len(f.Nodes))
	}
	if f.ForMS < 0 {
		return f, fmt.Errorf("arm %q for %d ms: want a time above 0, or none", f.Name, f.ForMS)
	}
	f.Since = now
	f.Nodes = slices.Clone(f.Nodes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed[f.Name] = f
	return f, nil
}

// Clear ends a fault, or all of them if name is empty, and returns the names
// of those that were armed.
func (s *Set) Clear(name string, now time.Time) ([]string, error) {
	if name != "" {
		if _, err := find(name); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var cleared []string
	for n, f := range s.armed {
		if name == "" || n == name {
			if holds(f, now) {
				cleared = append(cleared, n)
			}
			delete(s.armed, n)
		}
	}
	slices.Sort(cleared)
	return cleared, nil
}

// Active says whether the named fault holds now towards a node. An empty node
// stands for a peer that has not said who it is: only faults armed towards
// everybody hold for it.
func (s *Set) Active(name string, node api.NodeID, now time.Time) bool {
	if !s.enabled {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	f, ok := s.armed[name]
	return ok && holds(f, now) && (len(f.Nodes) == 0 || (node != "" && slices.Contains(f.Nodes, node)))
}

// List returns the faults that hold now, by name.
func (s *Set) List(now time.Time) []api.Fault {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := []api.Fault{}
	for _, f := range s.armed {
		if holds(f, now) {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b api.Fault) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Names returns the names of the faults that hold now.
func (s *Set) Names(now time.Time) []string {
	var names []string
	for _, f := range s.List(now) {
		names = append(names, f.Name)
	}
	return names
}

// Expire forgets the faults whose time is over and returns their names, so
// that the end of a fault can be told.
func (s *Set) Expire(now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var over []string
	for n, f := range s.armed {
		if !holds(f, now) {
			over = append(over, n)
			delete(s.armed, n)
		}
	}
	slices.Sort(over)
	return over
}

func holds(f api.Fault, now time.Time) bool {
	return f.ForMS == 0 || now.Before(f.Since.Add(time.Duration(f.ForMS)*time.Millisecond))
}

func find(name string) (Kind, error) {
	names := make([]string, 0, len(kinds))
	for _, k := range kinds {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Kind{}, fmt.Errorf("fault %q: %w; there are %s", name, ErrUnknown, strings.Join(names, ", "))
}
