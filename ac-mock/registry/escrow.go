package registry

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

const shareSize = 32

func escrowKey(id api.NodeID, generation uint32) string {
	return fmt.Sprintf("%s%s/%010d", PrefixSealed, id, generation)
}

// PrefixSealed is what the keys begin with under which sealed secrets lie.
const PrefixSealed = "escrow/"

// Sealed returns what is sealed in a key under PrefixSealed.
func Sealed(kv store.KV) (r seal.Record, ok bool, err error) {
	_, text, _ := strings.Cut(strings.TrimPrefix(kv.Key, PrefixSealed), "/")
	g, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return r, false, fmt.Errorf("%s: it ends in no generation: %w", kv.Key, err)
	}
	return seal.Record{Envelope: kv.Value, Label: kv.Key, Generation: g, Put: func(b []byte) ([]byte, error) { return b, nil }}, true, nil
}

// secrets is what lies in escrow for one generation.
type secrets struct{ share, recovery api.Secret }

func newSecrets(random io.Reader) (secrets, error) {
	b := make([]byte, 2*shareSize)
	if _, err := io.ReadFull(random, b); err != nil {
		return secrets{}, fmt.Errorf("make a share: %w", err)
	}
	return secrets{share: b[:shareSize], recovery: b[shareSize:]}, nil
}

// made makes the secrets of a generation, and the write that keeps them.
func (r *Registry) made(id api.NodeID, generation uint32) (secrets, store.Op, error) {
	s, err := newSecrets(r.o.Rand)
	if err != nil {
		return secrets{}, store.Op{}, err
	}
	op, err := r.sealed(id, generation, s)
	return s, op, err
}

func (r *Registry) sealed(id api.NodeID, generation uint32, s secrets) (store.Op, error) {
	key := escrowKey(id, generation)
	both := append(append(api.Secret{}, s.share...), s.recovery...)
	envelope, err := r.o.Seal.Seal(key, uint64(generation), both)
	if err != nil {
		return store.Op{}, err
	}
	return store.Put(key, envelope), nil
}

func (r *Registry) escrow(ctx context.Context, id api.NodeID, generation uint32) (secrets, error) {
	key := escrowKey(id, generation)
	kv, err := r.o.Store.Get(ctx, key)
	if err != nil {
		return secrets{}, err
	}
	both, err := r.o.Seal.Open(key, uint64(generation), kv.Value)
	if err != nil {
		return secrets{}, err
	}
	if len(both) != 2*shareSize {
		return secrets{}, fmt.Errorf("%s holds %d bytes, want %d", key, len(both), 2*shareSize)
	}
	return secrets{share: both[:shareSize], recovery: both[shareSize:]}, nil
}

// unlocked collects what a granted claim gets, and the writes for what is made
// for it.
func (r *Registry) unlocked(ctx context.Context, o enrol.Outcome) (u api.Unlocked, ops []store.Op, err error) {
	u = api.Unlocked{NodeID: o.Record.ID, Grid: r.o.Grid}
	var last secrets
	for _, g := range o.Give {
		if g == o.Make {
			var op store.Op
			last, op, err = r.made(o.Record.ID, g)
			ops = append(ops, op)
		} else {
			last, err = r.escrow(ctx, o.Record.ID, g)
		}
		if err != nil {
			return api.Unlocked{}, nil, fmt.Errorf("share of generation %d of node %s: %w", g, o.Record.ID, err)
		}
		u.Shares = append(u.Shares, api.Share{Generation: g, Share: last.share})
	}
	if o.Recovery {
		u.Recovery = last.recovery
	}
	return u, ops, nil
}

// decoy is opened for every refusal, so that one costs what opening a share
// does.
type decoy struct {
	seal     *seal.Sealer
	envelope atomic.Pointer[[]byte]
}

const decoyKey = "escrow/decoy"

// renew seals it, under the master key that seals now.
func (d *decoy) renew() error {
	envelope, err := d.seal.Seal(decoyKey, 0, make(api.Secret, 2*shareSize))
	d.envelope.Store(&envelope)
	return err
}

func (d *decoy) open() {
	if _, err := d.seal.Open(decoyKey, 0, *d.envelope.Load()); err != nil { // its master key is gone by now
		_ = d.renew()
	}
}
