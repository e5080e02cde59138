package ca

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// TendEvery is how often Tend is called.
const TendEvery = time.Hour

const retryAfter = time.Second

// Prefix is what the keys begin with that Take wants to hear of.
const Prefix = prefix

// Revision is the store's revision that is in force here: news begin with the
// one after it.
func (c *CA) Revision() int64 { return c.trust.Load().revision }

// Take takes news: what the store's Watch (or a twin of it) delivers. Other
// keys than those under Prefix do not matter. What is read is the store, as it
// is now. After an error, Sync, until that succeeds.
func (c *CA) Take(ctx context.Context, b store.Batch) error {
	mine := func(e store.Event) bool { return strings.HasPrefix(e.Key, prefix) }
	if b.Err != nil || b.Revision <= c.Revision() || !slices.ContainsFunc(b.Events, mine) {
		return b.Err
	}
	return c.Sync(ctx)
}

// Tend replaces what is about to expire and forgets what has. What cannot be
// done is logged, and done the next time.
func (c *CA) Tend(ctx context.Context) {
	c.keepIssuing(ctx)
	c.dropExpired(ctx)
}

// Sync reads the CA from the store now, rather than when the watch says so.
// After it, everything written before is in force here.
func (c *CA) Sync(ctx context.Context) error {
	c.loading.Lock()
	defer c.loading.Unlock()
	t := &trust{
		pinned: x509.NewCertPool(), accepted: x509.NewCertPool(),
		serials: map[string]Denial{}, nodes: map[api.NodeID]Denial{}, gone: map[string]Denial{}, changed: make(chan struct{}),
	}
	revision, err := store.Each(ctx, c.o.Store, prefix, func(kv store.KV) error { return c.take(t, kv) })
	if err != nil {
		return fmt.Errorf("read the CA of grid %s: %w", c.o.Grid, err)
	}
	if t.root == nil || t.issuer == nil {
		return fmt.Errorf("read the CA of grid %s: the store has root: %t, issuing CA: %t; want both", c.o.Grid, t.root != nil, t.issuer != nil)
	}
	if grid := t.issuer.PermittedURIDomains; len(grid) != 1 || grid[0] != c.o.Grid {
		return fmt.Errorf("the store belongs to grid %v, not to %s: use the data folder of this grid, or its name", grid, c.o.Grid)
	}
	t.revision = revision
	if old := c.trust.Swap(t); old != nil {
		close(old.changed)
	}
	return nil
}

func (c *CA) take(t *trust, kv store.KV) (err error) {
	switch {
	case kv.Key == keyRoot:
		if t.root, err = x509.ParseCertificate(kv.Value); err == nil {
			t.pinned.AddCert(t.root)
		}
	case kv.Key == keyIssuing:
		err = c.takeIssuing(t, kv.Value)
	case strings.HasPrefix(kv.Key, keyAccepted):
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(kv.Value); err == nil {
			t.accepted.AddCert(cert)
			t.issuers = append(t.issuers, cert)
		}
	case kv.Key == keyNext:
		var i issuing
		if err = json.Unmarshal(kv.Value, &i); err == nil {
			t.next, err = x509.ParseCertificate(i.Certificate)
		}
	case strings.HasPrefix(kv.Key, keyRetired):
		t.gone[strings.TrimPrefix(kv.Key, keyRetired)], err = decodeDenial(kv.Value)
	case strings.HasPrefix(kv.Key, keyDenySerial):
		t.serials[strings.TrimPrefix(kv.Key, keyDenySerial)], err = decodeDenial(kv.Value)
	case strings.HasPrefix(kv.Key, keyDenyNode):
		t.nodes[api.NodeID(strings.TrimPrefix(kv.Key, keyDenyNode))], err = decodeDenial(kv.Value)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", kv.Key, err)
	}
	return nil
}

func (c *CA) takeIssuing(t *trust, value []byte) error {
	var i issuing
	if err := json.Unmarshal(value, &i); err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(i.Certificate)
	if err != nil {
		return err
	}
	// The key is unsealed once; a reload because of a deny entry needs no key work.
	if old := c.trust.Load(); old != nil && bytes.Equal(old.issuer.Raw, cert.Raw) {
		t.issuer, t.signer = old.issuer, old.signer
		return nil
	}
	pkcs8, err := c.o.Seal.Open(keyIssuing, generation(cert.SerialNumber), i.Key)
	if err != nil {
		return err
	}
	t.issuer = cert
	t.signer, err = parseKey(pkcs8)
	return err
}

// follow keeps the snapshot up to date until ctx ends.
func (c *CA) follow(ctx context.Context) {
	due := time.NewTicker(TendEvery)
	defer due.Stop()
	for ctx.Err() == nil {
		c.followOnce(ctx, due.C)
		if ctx.Err() != nil {
			return
		}
		c.pause(ctx)
		if err := c.Sync(ctx); err != nil && ctx.Err() == nil {
			c.o.Log.Warn("cannot read the CA, the last state stays in force", "err", err)
		}
	}
}

// followOnce follows one watch until it ends.
func (c *CA) followOnce(ctx context.Context, due <-chan time.Time) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := c.o.Store.Watch(ctx, prefix, c.Revision()+1)
	for {
		select {
		case b, ok := <-w:
			if !ok || c.Take(ctx, b) != nil {
				return
			}
		case <-due:
			c.Tend(ctx)
		}
	}
}

func (c *CA) pause(ctx context.Context) {
	t := time.NewTimer(retryAfter)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
