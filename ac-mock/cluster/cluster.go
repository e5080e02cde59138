// Package cluster is what the ACs of a grid know of each other: who is there,
// who is being drained, who has 10.254.254.254 on which segment.
//
// It promises that an AC that is killed, frozen or cut off is seen as down by
// the others within LeaseLife and an election of the store; that what is asked
// here (Others, Alive, Draining) is answered from memory, also without a
// majority; and that nobody is removed, and nothing drained, that the grid cannot
// do without. It carries no traffic and holds no sessions. With one AC it is the
// same code with nobody else in it.
//
// Keys in the store:
//
//	ac/alive/NAME      alive, bound to a lease     ac/drain/NAME   while it is drained
//	ac/holds/SEGMENT → NAME, bound to the same     ac/peer/URL   → NAME, until it has started
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/g8os/g8os/ac-mock/fallback/claim"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/etcd"
)

// Times of an AC among others.
const (
	LeaseLife  = 3 * time.Second
	tickEvery  = 700 * time.Millisecond
	askWithin  = 2 * time.Second
	retryAfter = time.Second
)

// Keys in the store.
const (
	prefix   = "ac/"
	keyAlive = prefix + "alive/"
	keyDrain = prefix + "drain/"
	keyHolds = prefix + "holds/"
	keyPeer  = prefix + "peer/"
)

// Volatile says whether a key is of the moment and not worth a backup.
func Volatile(key string) bool { return strings.HasPrefix(key, prefix) }

// Errors of an operator's request.
var (
	ErrUnknown = errors.New("no such AC")
	ErrLast    = errors.New("the grid cannot do without it")
	ErrForeign = errors.New("the store is not kept by the ACs")
	ErrExists  = errors.New("there is an AC of that name or peer URL")
)

// Members is the membership of a store that the ACs keep themselves
// (store/etcd).
type Members interface {
	Members(context.Context) ([]etcd.Member, error)
	AddMember(ctx context.Context, peerURL string) (etcd.Member, error)
	RemoveMember(ctx context.Context, id uint64) error
	Self() uint64
}

// Options of a Cluster. All must be set but those that say what nil means.
type Options struct {
	Store    store.Store
	Members  Members // nil: the store is an operator's own cluster
	Name     string
	URL      string // where other ACs reach this one; empty: nowhere
	Version  string
	Segments []string   // on which to hold 10.254.254.254
	Sessions func() int // how many nodes have a session here
	Log      *slog.Logger
}

// alive is what an AC says of itself.
type alive struct {
	URL      string `json:"url"`
	Version  string `json:"version"`
	Sessions int    `json:"sessions"`
}

// Peer is another AC that is there.
type Peer struct{ Name, URL string }

// Cluster is one AC's view. Its methods may be called from many goroutines.
type Cluster struct {
	o       Options
	lease   store.LeaseID // of Run's goroutine
	said    alive         // what stands in the store of us
	changed chan struct{} // holds one token after news
	drained chan struct{} // holds one token after this AC's draining has changed
	turns   chan struct{} // holds one token after Held has changed

	mu       sync.Mutex
	silent   bool // the store did not answer when it was asked last
	alive    map[string]alive
	draining map[string]bool
	holders  map[string]string // by segment
	names    map[string]string // of members that have not started, by peer URL
	claims   map[string]claim.Claim
}

// New makes a Cluster that knows nothing yet. Run has to be called.
func New(o Options) *Cluster {
	c := &Cluster{o: o, changed: make(chan struct{}, 1), drained: make(chan struct{}, 1), turns: make(chan struct{}, 1), claims: map[string]claim.Claim{}}
	c.forget()
	for _, s := range o.Segments {
		c.claims[s] = claim.Claim{Own: o.Name}
	}
	return c
}

func (c *Cluster) forget() {
	c.alive, c.draining, c.holders, c.names = map[string]alive{}, map[string]bool{}, map[string]string{}, map[string]string{}
}

// Others are the ACs that are there and reachable, beside this one, by name.
func (c *Cluster) Others() (all []Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.alive)) {
		if name != c.o.Name && c.alive[name].URL != "" {
			all = append(all, Peer{name, c.alive[name].URL})
		}
	}
	return all
}

// Alive says whether an AC has been heard lately.
func (c *Cluster) Alive(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, there := c.alive[name]
	return there
}

// Draining says whether this AC's nodes are to go to others.
func (c *Cluster) Draining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining[c.o.Name]
}

// Drained holds a token after Draining may have changed.
func (c *Cluster) Drained() <-chan struct{} { return c.drained }

// Held says whether this AC has 10.254.254.254 on a segment.
func (c *Cluster) Held(segment string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.claims[segment].Held
}

// Turns holds a token after Held may have changed.
func (c *Cluster) Turns() <-chan struct{} { return c.turns }

// Heard is told that somebody else announces 10.254.254.254 on a segment, and
// says whether to do so too.
func (c *Cluster) Heard(segment string) (defend bool) {
	return c.step(segment, claim.Event{Foreign: true}).Announce
}

// step has the claim to a segment take an event.
func (c *Cluster) step(segment string, e claim.Event) claim.Effect {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.claims[segment]
	was.Drained = c.draining[c.o.Name]
	now, does := was.Step(e)
	c.claims[segment] = now
	if now.Held != was.Held {
		tell(c.turns)
		c.o.Log.Info("10.254.254.254", "segment", segment, "held", now.Held, "holder", e.Holder)
	}
	return does
}

func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // there is one to be read
	}
}

// Take takes news of the store's watch of Prefix; the zero Batch is none.
func (c *Cluster) take(b store.Batch) {
	c.mu.Lock()
	was := c.draining[c.o.Name]
	for _, e := range b.Events {
		c.apply(e)
	}
	now := c.draining[c.o.Name]
	c.mu.Unlock()
	if was != now {
		tell(c.drained)
	}
	tell(c.changed)
}

// apply takes one change; c.mu is held.
func (c *Cluster) apply(e store.Event) {
	kind, name, _ := strings.Cut(strings.TrimPrefix(e.Key, prefix), "/")
	switch prefix + kind + "/" {
	case keyAlive:
		var a alive
		if delete(c.alive, name); !e.Deleted && json.Unmarshal(e.Value, &a) == nil {
			c.alive[name] = a
		}
	case keyDrain:
		if delete(c.draining, name); !e.Deleted {
			c.draining[name] = true
		}
	case keyHolds:
		if delete(c.holders, name); !e.Deleted {
			c.holders[name] = string(e.Value)
		}
	case keyPeer:
		if delete(c.names, name); !e.Deleted {
			c.names[name] = string(e.Value)
		}
	}
}

// Load reads what the store has, and returns the revision it is of.
func (c *Cluster) load(ctx context.Context) (int64, error) {
	var b store.Batch
	revision, err := store.Each(ctx, c.o.Store, prefix, func(kv store.KV) error {
		b.Events = append(b.Events, store.Event{KV: kv})
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read who the ACs are: %w", err)
	}
	c.mu.Lock()
	c.forget()
	c.mu.Unlock()
	c.take(b)
	tell(c.drained)
	return revision, nil
}
