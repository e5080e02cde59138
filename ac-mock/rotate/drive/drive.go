// Package drive carries rotations out: it is the shell around ac-mock/rotate.
//
//	operator ── Start, Pause ──▶ store: rotate/… ◀── Step, at every AC
//	                                                   │ nodes with a session here: share, frame
//	                                                   └ this AC's part: CA, certificate, master key
//
// It promises that a rotation is in the store before anything is done for it,
// so that every AC on the store works on it, each for the nodes that have a
// session with it, and none is in charge: one that is killed is missed by
// nobody but its nodes, until they are with another. Every step may be done
// twice. A rotation that is begun, paused, resumed or over is in the audit.
//
// Keys in the store:
//
//	rotate/campaign/KIND            rotate.Campaign, the last one of the kind
//	rotate/node/KIND/CAMPAIGN/ID    rotate.Entry
//	rotate/ac/NAME                  rotate.AC
//	rotate/master                   the next master key, sealed under the one before
package drive

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/g8os/g8os/ac-mock/rotate"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Errors that operators can do something about.
var (
	// ErrKind: there is no such kind, or it has no rotation.
	ErrKind = errors.New("no such rotation")
	// ErrRunning: one of the kind is not over yet.
	ErrRunning = errors.New("a rotation of this kind is not over yet")
	// ErrNodes: the nodes that are meant cannot be rotated.
	ErrNodes = errors.New("these nodes cannot be meant")
)

// Keys in the store.
const (
	prefix      = "rotate/"
	keyCampaign = prefix + "campaign/"
	keyNode     = prefix + "node/"
	keyAC       = prefix + "ac/"
	keyMaster   = prefix + "master"
)

// Book is what is asked of the registry.
type Book interface {
	Fact(api.NodeID) rotate.Fact
	Enrolled() []api.NodeID
	Node(ctx context.Context, ref string) (api.Node, error)
	RotateShare(ctx context.Context, actor string, id api.NodeID) (uint32, error)
	Note(ctx context.Context, actor, action string, node api.NodeID, detail string) error
}

// Sessions are those that nodes have with this AC. Its methods must not block.
type Sessions interface {
	Online(api.NodeID) bool
	Rotate(id api.NodeID, r api.Rotate) // a frame; without a session nothing
}

// CA is what is asked of the certificate authority (ac-mock/ca).
type CA interface {
	Prepare(context.Context) error
	Activate(context.Context) error
	RetireOld(context.Context) error
	RenewServers() error
	Sync(context.Context) error
}

// Options of a Driver. What is not said to have a default must be set.
type Options struct {
	Grid, Name string
	Store      store.Store
	Seal       *seal.Sealer
	CA         CA
	Book       Book
	Sessions   Sessions
	// Members are the names of the grid's ACs, if somebody keeps a list: nobody else
	// is waited for. Nil, or without any: those are that ever took part.
	Members func(context.Context) ([]string, error)
	Pace    rotate.Pace      // default rotate.DefaultPace
	Clock   func() time.Time // default time.Now
	Rand    io.Reader        // of ids and master keys; default the kernel's
	Log     *slog.Logger     // default: none
}

// Driver is one AC's part in all rotations. Start, Pause, Status and Answered
// may be called at any time; Step by one goroutine.
type Driver struct {
	o    Options
	kick chan struct{}

	mu      sync.Mutex
	answers []answer

	machines map[api.RotateKind]*machine
	own      rotate.AC
	written  time.Time
}

type answer struct {
	id api.NodeID
	a  api.Rotate
}

// machine is the pacing of one campaign's nodes.
type machine struct {
	campaign string
	m        *rotate.Machine
}

// New makes a Driver that does nothing before Step.
func New(o Options) *Driver {
	if o.Pace == (rotate.Pace{}) {
		o.Pace = rotate.DefaultPace
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Driver{
		o: o, kick: make(chan struct{}, 1), machines: map[api.RotateKind]*machine{},
		own: rotate.AC{Name: o.Name, Did: map[api.RotateKind]rotate.Step{}},
	}
}

// Every is how often Step is called when nobody answers.
const Every = time.Second

// Run steps until ctx ends.
func (d *Driver) Run(ctx context.Context) {
	t := time.NewTicker(Every)
	defer t.Stop()
	for {
		if err := d.Step(ctx); err != nil && ctx.Err() == nil {
			d.o.Log.Warn("rotations wait: trying again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-d.kick:
		}
	}
}

// Answered takes what a node answered. It does not block.
func (d *Driver) Answered(id api.NodeID, a api.Rotate) {
	d.mu.Lock()
	if len(d.answers) < maxAnswers {
		d.answers = append(d.answers, answer{id, a})
	}
	d.mu.Unlock()
	d.soon()
}

// maxAnswers bounds what nodes say between two steps.
const maxAnswers = 4096

func (d *Driver) soon() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// held is a campaign as it is in the store.
type held struct {
	rotate.Campaign
	modified int64
}

func (d *Driver) campaigns(ctx context.Context) (all []held, err error) {
	_, err = store.Each(ctx, d.o.Store, keyCampaign, func(kv store.KV) error {
		h := held{modified: kv.Modified}
		if err := json.Unmarshal(kv.Value, &h.Campaign); err != nil {
			return fmt.Errorf("%s: %w", kv.Key, err)
		}
		all = append(all, h)
		return nil
	})
	return all, err
}

// acs are those that a rotation of ACs waits for.
func (d *Driver) acs(ctx context.Context) (all []rotate.AC, err error) {
	var members []string
	if d.o.Members != nil {
		if members, err = d.o.Members(ctx); err != nil {
			return nil, err
		}
	}
	_, err = store.Each(ctx, d.o.Store, keyAC, func(kv store.KV) error {
		var a rotate.AC
		if err := json.Unmarshal(kv.Value, &a); err != nil {
			return fmt.Errorf("%s: %w", kv.Key, err)
		}
		at := slices.Index(members, a.Name)
		switch {
		case at >= 0:
			members = slices.Delete(members, at, at+1)
		case members != nil:
			return nil // it was removed
		}
		all = append(all, a)
		return nil
	})
	for _, name := range members {
		all = append(all, rotate.AC{Name: name}) // it has yet to take part
	}
	return all, err
}

// under is where the nodes of a campaign are: two that are begun at once do not
// share any, whichever of them becomes the one of its kind.
func under(k api.RotateKind, campaign string) string {
	return keyNode + string(k) + "/" + campaign + "/"
}

// entries reads the nodes of a campaign.
func (d *Driver) entries(ctx context.Context, c rotate.Campaign) (map[api.NodeID]rotate.Entry, error) {
	all, under := map[api.NodeID]rotate.Entry{}, under(c.Kind, c.ID)
	_, err := store.Each(ctx, d.o.Store, under, func(kv store.KV) error {
		var e rotate.Entry
		if err := json.Unmarshal(kv.Value, &e); err != nil {
			return fmt.Errorf("%s: %w", kv.Key, err)
		}
		all[api.NodeID(strings.TrimPrefix(kv.Key, under))] = e
		return nil
	})
	return all, err
}

// write puts a campaign into the store, if it is still as it was read.
func (d *Driver) write(ctx context.Context, c rotate.Campaign, modified int64, more ...store.Op) error {
	value, err := json.Marshal(c)
	if err != nil {
		return err
	}
	key := keyCampaign + string(c.Kind)
	_, err = d.o.Store.Txn(ctx, store.Txn{
		If: []store.Cond{{Key: key, Modified: modified}}, Then: append(more, store.Put(key, value)),
	})
	return err
}

// begin writes the entries of a campaign's nodes.
func (d *Driver) begin(ctx context.Context, c rotate.Campaign, ids []api.NodeID) error {
	var ops []store.Op
	for _, id := range ids {
		value, err := json.Marshal(rotate.Begin(c.ID, d.o.Book.Fact(id)))
		if err != nil {
			return err
		}
		ops = append(ops, store.Put(under(c.Kind, c.ID)+string(id), value))
	}
	return store.Write(ctx, d.o.Store, ops)
}

// fact is what the book knows of a node, with whether it is here.
func (d *Driver) fact(id api.NodeID) rotate.Fact {
	f := d.o.Book.Fact(id)
	f.Here = d.o.Sessions.Online(id)
	f.Online = f.Online || f.Here
	return f
}

func (d *Driver) actor() string {
	return api.Identity{Grid: d.o.Grid, Role: api.RoleAC, Name: d.o.Name}.String()
}
