package drive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/registry"
	"github.com/g8os/g8os/ac-mock/rotate"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// part does this AC's part of a stage, notes that it did, and says whether all
// ACs have.
func (d *Driver) part(ctx context.Context, c rotate.Campaign) (all bool, err error) {
	did := rotate.Step{Campaign: c.ID, Stage: c.Stage}
	if d.own.Did[c.Kind] != did {
		if err := d.act(ctx, c); err != nil {
			if errors.Is(err, store.ErrUnavailable) {
				return false, err
			}
			did.Why = api.Shown(err.Error(), maxWhy)
		}
		if d.own.Did[c.Kind] != did {
			d.o.Log.Info("this AC's part of a rotation", "rotation", c.ID, "stage", c.Stage, "waits_because", did.Why)
			d.own.Did[c.Kind] = did
			if err := d.report(ctx, d.o.Clock().UTC()); err != nil {
				return false, err
			}
		}
	}
	acs, err := d.acs(ctx)
	return err == nil && len(rotate.Behind(c, acs)) == 0, err
}

// maxWhy bounds what is kept of a reason, in bytes.
const maxWhy = 300

// act does a stage. Each may be done again.
func (d *Driver) act(ctx context.Context, c rotate.Campaign) error {
	switch c.Stage {
	case rotate.StageAccept:
		return d.o.CA.Prepare(ctx)
	case rotate.StageSign:
		if err := d.o.CA.Activate(ctx); err != nil {
			return err
		}
		return d.o.CA.RenewServers() // nodes are about to be told not to believe what the old one signed
	case rotate.StageRetire:
		return d.o.CA.RetireOld(ctx)
	case rotate.StageRenew:
		return d.o.CA.RenewServers()
	case rotate.StageAdd:
		return d.addMaster(ctx)
	}
	next, err := CatchUp(ctx, d.o.Store, d.o.Seal)
	if err != nil {
		return err
	}
	if next == (seal.KeyID{}) {
		return errors.New("the next master key is not in the store: it was restored from an older backup; begin again")
	}
	switch c.Stage {
	case rotate.StageUse:
		return d.o.Seal.Use(next)
	case rotate.StageReseal:
		return d.reseal(ctx, next)
	case rotate.StageDrop:
		return d.drop(ctx, next)
	}
	return fmt.Errorf("no such stage: %s", c.Stage)
}

// coming is the next master key on its way to all ACs.
type coming struct {
	ID     string `json:"id"`
	Sealed []byte `json:"sealed"` // under the one before
}

// addMaster makes the next master key, or finds it, and has it open here.
func (d *Driver) addMaster(ctx context.Context) error {
	_, err := d.o.Store.Get(ctx, keyMaster)
	if errors.Is(err, store.ErrNotFound) {
		err = d.makeMaster(ctx)
	}
	if err != nil {
		return err
	}
	_, err = CatchUp(ctx, d.o.Store, d.o.Seal)
	return err
}

func (d *Driver) makeMaster(ctx context.Context) error {
	key := make(api.Secret, seal.KeySize)
	defer clear(key)
	if _, err := io.ReadFull(d.o.Rand, key); err != nil {
		return err
	}
	id, err := seal.Name(key)
	if err != nil {
		return err
	}
	next := coming{ID: id.String()}
	if next.Sealed, err = d.o.Seal.Seal(keyMaster, 0, key); err != nil {
		return err
	}
	value, err := json.Marshal(next)
	if err != nil {
		return err
	}
	_, err = d.o.Store.Txn(ctx, store.Txn{If: []store.Cond{{Key: keyMaster}}, Then: []store.Op{store.Put(keyMaster, value)}})
	if errors.Is(err, store.ErrConflict) {
		return nil // another AC has made it
	}
	return err
}

// CatchUp has the next master key open here, if one is to come, durably: an AC
// that was away while others went on has to, before it opens anything else. It
// returns the key's id; zero: there is none.
func CatchUp(ctx context.Context, s store.Store, sealer *seal.Sealer) (seal.KeyID, error) {
	kv, err := s.Get(ctx, keyMaster)
	if errors.Is(err, store.ErrNotFound) {
		return seal.KeyID{}, nil
	}
	if err != nil {
		return seal.KeyID{}, err
	}
	var next coming
	if err := json.Unmarshal(kv.Value, &next); err != nil {
		return seal.KeyID{}, fmt.Errorf("%s: %w", kv.Key, err)
	}
	if id := sealer.Find(next.ID); id != (seal.KeyID{}) {
		return id, nil
	}
	key, err := sealer.Open(keyMaster, 0, next.Sealed)
	if err != nil {
		return seal.KeyID{}, err
	}
	defer clear(key)
	id, err := seal.Name(key)
	if err != nil {
		return seal.KeyID{}, err
	}
	return id, sealer.Add(key)
}

// reseal seals under the next master key whatever is not yet, until nothing is
// left. Another AC may do the same.
func (d *Driver) reseal(ctx context.Context, next seal.KeyID) error {
	for _, under := range sealed {
		_, err := store.Each(ctx, d.o.Store, under, func(kv store.KV) error {
			e, ok, err := open(kv)
			if err != nil || !ok {
				return err
			}
			return d.resealOne(ctx, kv, e, next)
		})
		if err != nil {
			return fmt.Errorf("seal again: %w", err)
		}
	}
	return d.sealedUnder(ctx, next)
}

func (d *Driver) resealOne(ctx context.Context, kv store.KV, e seal.Record, next seal.KeyID) error {
	id, err := seal.SealedUnder(e.Envelope)
	if err != nil {
		return fmt.Errorf("%s: %w", kv.Key, err)
	}
	if id == next {
		return nil
	}
	secret, err := d.o.Seal.Open(e.Label, e.Generation, e.Envelope)
	if err != nil {
		return err
	}
	defer clear(secret)
	again, err := d.o.Seal.Seal(e.Label, e.Generation, secret)
	if err != nil {
		return err
	}
	value, err := e.Put(again)
	if err != nil {
		return err
	}
	_, err = d.o.Store.Txn(ctx, store.Txn{
		If: []store.Cond{{Key: kv.Key, Modified: kv.Modified}}, Then: []store.Op{store.Put(kv.Key, value)},
	})
	if errors.Is(err, store.ErrConflict) {
		return nil // it was changed: sealedUnder looks at it again
	}
	return err
}

// sealedUnder fails as long as something is sealed under another key.
func (d *Driver) sealedUnder(ctx context.Context, next seal.KeyID) error {
	left := 0
	for _, under := range sealed {
		_, err := store.Each(ctx, d.o.Store, under, func(kv store.KV) error {
			e, ok, err := open(kv)
			if err != nil || !ok {
				return err
			}
			if id, err := seal.SealedUnder(e.Envelope); err != nil || id != next {
				left++
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if left > 0 {
		return fmt.Errorf("seal again: %d records are still under the old key", left)
	}
	return nil
}

// open finds what is sealed in a key of the store.
func open(kv store.KV) (r seal.Record, ok bool, err error) {
	if strings.HasPrefix(kv.Key, ca.Prefix) {
		return ca.Sealed(kv)
	}
	return registry.Sealed(kv)
}

// sealed are the prefixes of keys in which something may be.
var sealed = []string{registry.PrefixSealed, ca.Prefix}

// drop forgets the old master key here.
func (d *Driver) drop(ctx context.Context, next seal.KeyID) error {
	if err := d.sealedUnder(ctx, next); err != nil {
		return err
	}
	return d.o.Seal.Keep(next)
}
