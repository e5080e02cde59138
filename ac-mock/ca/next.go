package ca

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Keys of what comes after the issuing CA, and of what came before it.
const (
	keyNext    = prefix + "next"     // issuing: made and accepted, signs nothing yet
	keyRetired = prefix + "retired/" // + key id of the issuing CA: Denial
)

// ErrRootKey is wrapped when the root's key is wanted and is not there.
var ErrRootKey = errors.New("the root key is offline: put its file back for a moment")

// Prepare makes the next issuing CA and has it accepted everywhere; it signs
// nothing before Activate. One that is there already, and is good by the clock,
// is it. This is the only step that needs the root's key (ErrRootKey).
func (c *CA) Prepare(ctx context.Context) error {
	held, err := c.o.Store.Get(ctx, keyNext)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	case c.goodNow(held.Value):
		return c.Sync(ctx)
	}
	root, key, err := c.rootKey(false)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("prepare an issuing CA: %w: %w", ErrRootKey, err)
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(root.Raw, c.trust.Load().root.Raw) {
		return fmt.Errorf("root key file %s is not the one of grid %s", c.o.Root, c.o.Grid)
	}
	ops, err := c.newIssuing(keyNext, root, key)
	if err != nil {
		return err
	}
	_, err = c.o.Store.Txn(ctx, store.Txn{If: []store.Cond{{Key: keyNext, Modified: held.Modified}}, Then: ops})
	if err != nil && !errors.Is(err, store.ErrConflict) { // then another AC has made it
		return fmt.Errorf("prepare an issuing CA: %w", err)
	}
	return c.Sync(ctx)
}

// goodNow says whether an issuing CA, as it is stored, is good by the clock.
func (c *CA) goodNow(value []byte) bool {
	var i issuing
	if json.Unmarshal(value, &i) != nil {
		return false
	}
	cert, err := x509.ParseCertificate(i.Certificate)
	now := c.o.Clock()
	return err == nil && !now.Before(cert.NotBefore) && now.Before(cert.NotAfter)
}

// Activate has the prepared issuing CA sign from now on. What the one before it
// has signed stays good. Without a prepared one there is nothing to do.
func (c *CA) Activate(ctx context.Context) error {
	next, err := c.o.Store.Get(ctx, keyNext)
	if errors.Is(err, store.ErrNotFound) {
		return c.Sync(ctx)
	}
	if err != nil {
		return err
	}
	_, err = c.o.Store.Txn(ctx, store.Txn{
		If:   []store.Cond{{Key: keyNext, Modified: next.Modified}},
		Then: []store.Op{store.Put(keyIssuing, next.Value), store.Delete(keyNext)},
	})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("activate the next issuing CA: %w", err)
	}
	return c.Sync(ctx)
}

// RetireOld has nothing count any more that nodes were issued by earlier issuing
// CAs. Certificates of operators stay good until they run out: nobody renews
// those by itself.
func (c *CA) RetireOld(ctx context.Context) error {
	t := c.trust.Load()
	var txn store.Txn
	for _, cert := range t.earlier() {
		value, _ := json.Marshal(Denial{At: c.o.Clock().UTC(), Until: cert.NotAfter.UTC()}) // two times cannot fail
		txn.Then = append(txn.Then, store.Put(keyRetired+keyID(cert), value))
	}
	if len(txn.Then) > 0 {
		if _, err := c.o.Store.Txn(ctx, txn); err != nil {
			return fmt.Errorf("retire the earlier issuing CA: %w", err)
		}
	}
	return c.Sync(ctx)
}

// earlier are the issuing CAs that were made before the one that signs.
func (t *trust) earlier() (all []*x509.Certificate) {
	for _, cert := range t.issuers {
		if !cert.Equal(t.issuer) && (t.next == nil || !cert.Equal(t.next)) {
			all = append(all, cert)
		}
	}
	return all
}

// Retired are the issuing CAs of which nothing counts any more, by their subject
// key ids, hex, sorted.
func (c *CA) Retired() []string { return slices.Sorted(maps.Keys(c.trust.Load().gone)) }

func keyID(issuer *x509.Certificate) string { return fmt.Sprintf("%x", issuer.SubjectKeyId) }

// retired says why a leaf does not count whose issuing CA is retired, or nil.
func (t *trust) retired(leaf *x509.Certificate, role api.Role) error {
	d, ok := t.gone[fmt.Sprintf("%x", leaf.AuthorityKeyId)]
	if !ok || role == api.RoleOperator {
		return nil
	}
	return fmt.Errorf("%w: its issuing CA was retired at %s", ErrRevoked, d.At.Format(time.RFC3339))
}

// Issuing tells when the issuing CA began to be good and ends, and whether the
// next one is prepared.
func (c *CA) Issuing() (from, until time.Time, prepared bool) {
	t := c.trust.Load()
	return t.issuer.NotBefore, t.issuer.NotAfter, t.next != nil
}

// The next issuing CA is prepared when half of this one's life is over, and
// active when five sixths are: until then whoever accepts certificates has
// heard of it, and a root key that is offline has been put back (SPIRE's rule,
// pkg/server/ca/manager).
func preparedAt(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 2)
}

func activeAt(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 6 * 5)
}

// keepIssuing does what is due: prepares, or activates. An issuing CA that is
// not good yet was made under a clock that was ahead, and is replaced at once.
func (c *CA) keepIssuing(ctx context.Context) {
	t, now := c.trust.Load(), c.o.Clock()
	var err error
	switch early := now.Before(t.issuer.NotBefore); {
	case early:
		if err = c.Prepare(ctx); err == nil {
			err = c.Activate(ctx)
		}
	case t.next != nil && !now.Before(activeAt(t.issuer)) && !now.Before(t.next.NotBefore):
		err = c.Activate(ctx)
	case t.next == nil && !now.Before(preparedAt(t.issuer)):
		err = c.Prepare(ctx)
	}
	if err != nil {
		c.o.Log.Warn("the issuing CA has to be replaced", "days_left", int(t.issuer.NotAfter.Sub(now).Hours()/24), "err", err)
	}
}

// Sealed returns what is sealed in a key under Prefix: the key of an issuing
// CA, for keyIssuing also while it is the next one.
func Sealed(kv store.KV) (r seal.Record, ok bool, err error) {
	if kv.Key != keyIssuing && kv.Key != keyNext {
		return r, false, nil
	}
	var i issuing
	if err := json.Unmarshal(kv.Value, &i); err != nil {
		return r, false, fmt.Errorf("%s: %w", kv.Key, err)
	}
	cert, err := x509.ParseCertificate(i.Certificate)
	if err != nil {
		return r, false, fmt.Errorf("%s: %w", kv.Key, err)
	}
	put := func(envelope []byte) ([]byte, error) {
		i.Key = envelope
		return json.Marshal(i)
	}
	return seal.Record{Envelope: i.Key, Label: keyIssuing, Generation: generation(cert.SerialNumber), Put: put}, true, nil
}
