package memory

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
)

// Client is one AC's way to a Store that several share, with faults of its own:
// what is cut off from this AC is not from the others.
type Client struct {
	s     *Store
	down  atomic.Bool
	lossy atomic.Bool
}

var _ store.Store = (*Client)(nil)

// Client makes a way to the store without faults. To close it does nothing.
func (s *Store) Client() *Client { return &Client{s: s} }

// SetDown makes every call fail with store.ErrUnavailable and nothing be
// written, or heals that. Watches stay open and go on meanwhile.
func (c *Client) SetDown(down bool) { c.down.Store(down) }

// SetLossy makes writes happen whose answer is lost: Txn fails with
// store.ErrUnavailable. Or heals that.
func (c *Client) SetLossy(lossy bool) { c.lossy.Store(lossy) }

func (c *Client) usable(what, on string) error {
	if c.down.Load() {
		return fmt.Errorf("%s %s: cut off: %w", what, on, store.ErrUnavailable)
	}
	return nil
}

// Get implements store.Store.
func (c *Client) Get(ctx context.Context, key string) (store.KV, error) {
	if err := c.usable("read", key); err != nil {
		return store.KV{}, err
	}
	return c.s.Get(ctx, key)
}

// List implements store.Store.
func (c *Client) List(ctx context.Context, prefix string, o store.ListOptions) (store.Page, error) {
	if err := c.usable("list", prefix); err != nil {
		return store.Page{}, err
	}
	return c.s.List(ctx, prefix, o)
}

// Txn implements store.Store.
func (c *Client) Txn(ctx context.Context, t store.Txn) (int64, error) {
	if err := c.usable("write to", "the store"); err != nil {
		return 0, err
	}
	revision, err := c.s.Txn(ctx, t)
	if err == nil && c.lossy.Load() {
		return 0, fmt.Errorf("write to the store: the answer is lost: %w", store.ErrUnavailable)
	}
	return revision, err
}

// Watch implements store.Store.
func (c *Client) Watch(ctx context.Context, prefix string, from int64) <-chan store.Batch {
	return c.s.Watch(ctx, prefix, from)
}

// Grant implements store.Store.
func (c *Client) Grant(ctx context.Context, ttl time.Duration) (store.LeaseID, error) {
	if err := c.usable("grant", "a lease"); err != nil {
		return 0, err
	}
	return c.s.Grant(ctx, ttl)
}

// KeepAlive implements store.Store.
func (c *Client) KeepAlive(ctx context.Context, id store.LeaseID) error {
	if err := c.usable("keep alive", "a lease"); err != nil {
		return err
	}
	return c.s.KeepAlive(ctx, id)
}

// Revoke implements store.Store.
func (c *Client) Revoke(ctx context.Context, id store.LeaseID) error {
	if err := c.usable("revoke", "a lease"); err != nil {
		return err
	}
	return c.s.Revoke(ctx, id)
}

// Revision implements store.Store.
func (c *Client) Revision(ctx context.Context) (int64, error) {
	if err := c.usable("read", "the revision"); err != nil {
		return 0, err
	}
	return c.s.Revision(ctx)
}

// Close implements store.Store.
func (c *Client) Close() error { return nil }
