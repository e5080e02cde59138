package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/g8os/g8os/ac-mock/fallback/claim"
	"github.com/g8os/g8os/ac-mock/store"
)

// Run says that this AC is there, follows what the others say, and claims
// segments, until ctx ends; then it takes leave, so that others need not wait.
func (c *Cluster) Run(ctx context.Context) error {
	var follower sync.WaitGroup
	follower.Go(func() { c.follow(ctx) })
	defer follower.Wait()
	defer c.leave(context.WithoutCancel(ctx))
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.changed:
		case <-t.C:
			c.renew(ctx)
			t.Reset(tickEvery)
		}
		c.claimAll(ctx)
	}
}

// follow keeps what is known up to date.
func (c *Cluster) follow(ctx context.Context) {
	for ctx.Err() == nil {
		revision, err := c.load(ctx)
		if err == nil {
			for b := range c.o.Store.Watch(ctx, prefix, revision+1) {
				if b.Err != nil {
					break
				}
				c.take(b)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

// renew keeps this AC's lease alive, or begins a new one, and says what has
// changed about it.
func (c *Cluster) renew(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	err := store.ErrNotFound
	if c.lease != 0 {
		err = c.o.Store.KeepAlive(ctx, c.lease)
	}
	if errors.Is(err, store.ErrNotFound) {
		c.lease = 0
		if c.lease, err = c.o.Store.Grant(ctx, LeaseLife); err == nil {
			err = c.say(ctx)
		}
	} else if err == nil && c.now() != c.said {
		err = c.say(ctx)
	}
	c.mu.Lock()
	c.silent = err != nil
	c.mu.Unlock()
	if err == nil {
		return
	}
	c.o.Log.Warn("cannot tell the other ACs that this one is here", "error", err)
	for _, segment := range c.o.Segments {
		c.step(segment, claim.Event{Silent: true})
	}
}

func (c *Cluster) now() alive {
	return alive{URL: c.o.URL, Version: c.o.Version, Sessions: c.o.Sessions()}
}

// say writes what there is to say of this AC.
func (c *Cluster) say(ctx context.Context) error {
	now := c.now()
	value, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("encode what AC %s is: %w", c.o.Name, err)
	}
	op := store.Put(keyAlive+c.o.Name, value)
	op.Lease = c.lease
	if _, err := c.o.Store.Txn(ctx, store.Txn{Then: []store.Op{op}}); err != nil {
		return err
	}
	c.said = now
	return nil
}

// claimAll has the claims take what the store says: not what it has said before
// it fell silent.
func (c *Cluster) claimAll(ctx context.Context) {
	c.mu.Lock()
	silent := c.silent
	c.mu.Unlock()
	if c.lease == 0 || silent {
		return
	}
	for _, segment := range c.o.Segments {
		c.mu.Lock()
		holder := c.holders[segment]
		c.mu.Unlock()
		does := c.step(segment, claim.Event{Said: true, Holder: holder})
		if err := c.perform(ctx, segment, does); err != nil && !errors.Is(err, store.ErrConflict) {
			c.o.Log.Warn("cannot claim 10.254.254.254", "segment", segment, "error", err)
			c.step(segment, claim.Event{Silent: true})
		}
	}
}

func (c *Cluster) perform(ctx context.Context, segment string, does claim.Effect) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	key, t := keyHolds+segment, store.Txn{}
	switch {
	case does.Take:
		op := store.Put(key, []byte(c.o.Name))
		op.Lease = c.lease
		t = store.Txn{If: []store.Cond{{Key: key}}, Then: []store.Op{op}}
	case does.Free:
		t = store.Txn{Then: []store.Op{store.Delete(key)}}
	default:
		return nil
	}
	_, err := c.o.Store.Txn(ctx, t)
	return err
}

// leave ends the lease, and with it all that is bound to it.
func (c *Cluster) leave(ctx context.Context) {
	if c.lease == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if err := c.o.Store.Revoke(ctx, c.lease); err != nil {
		c.o.Log.Warn("cannot take leave of the other ACs: they will miss this one", "error", err)
	}
}
