package ca

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// ErrRevoked is wrapped by the reason why a certificate no longer counts.
var ErrRevoked = errors.New("certificate is revoked")

// Keys of the deny list.
const (
	keyDenySerial = prefix + "deny/serial/" // + serial: Denial
	keyDenyNode   = prefix + "deny/node/"   // + node id: Denial
)

// Denial is one entry of the deny list. For a node it covers every certificate
// issued up to At; a later one counts again.
type Denial struct {
	At    time.Time `json:"at"`
	Until time.Time `json:"until"` // all that it covers has expired by then
}

func decodeDenial(b []byte) (d Denial, err error) {
	err = json.Unmarshal(b, &d)
	return d, err
}

// Denied says why a certificate no longer counts, or nil. It takes no lock
// and does no I/O.
func (c *CA) Denied(cert *x509.Certificate) error {
	t := c.trust.Load()
	serial := serialName(cert.SerialNumber)
	if d, ok := t.serials[serial]; ok {
		return fmt.Errorf("%w: serial %s, at %s", ErrRevoked, serial, d.At.Format(time.RFC3339))
	}
	id, err := api.ParseIdentity(cert.URIs)
	if err != nil || id.Role != api.RoleNode {
		return nil
	}
	if d, ok := t.nodes[api.NodeID(id.Name)]; ok && !IssuedAt(cert).After(d.At) {
		return fmt.Errorf("%w: all of node %s issued until %s", ErrRevoked, id.Name, d.At.Format(time.RFC3339))
	}
	return nil
}

// IssuedAt is when a leaf of this package was issued, to the second.
func IssuedAt(cert *x509.Certificate) time.Time { return cert.NotBefore.Add(Backdate) }

// DenyNode returns the write that makes void all certificates of a node issued
// so far; issued is when the last one was (a clock may have been set back
// since). It belongs in the transaction of the decision; call Sync after it.
func (c *CA) DenyNode(id api.NodeID, issued time.Time) store.Op {
	at := c.o.Clock()
	if issued.After(at) {
		at = issued
	}
	// Two in one second: the second one must cover what was issued between them.
	if d, ok := c.trust.Load().nodes[id]; ok && !at.After(d.At.Add(time.Second)) {
		at = d.At.Add(time.Second)
	}
	return c.deny(keyDenyNode+string(id), at)
}

// DenySerial returns the write that makes one certificate void.
func (c *CA) DenySerial(serial *big.Int, notAfter time.Time) store.Op {
	value, _ := json.Marshal(Denial{At: c.o.Clock().UTC(), Until: notAfter.UTC()}) // two times cannot fail
	return store.Put(keyDenySerial+serialName(serial), value)
}

func (c *CA) deny(key string, at time.Time) store.Op {
	value, _ := json.Marshal(Denial{At: at.UTC(), Until: at.Add(c.o.NodeLife + 2*time.Second).UTC()}) // two times cannot fail
	return store.Put(key, value)
}

// issueTime is when a certificate issued now says it was: after whatever the
// deny list covers for its node.
func (t *trust) issueTime(id api.Identity, now time.Time) time.Time {
	now = now.Truncate(time.Second)
	if id.Role != api.RoleNode {
		return now
	}
	if d, ok := t.nodes[api.NodeID(id.Name)]; ok && !now.After(d.At) {
		return d.At.Truncate(time.Second).Add(time.Second)
	}
	return now
}

// dropExpired forgets denials of certificates that have all expired, and
// accepted CAs that have.
func (c *CA) dropExpired(ctx context.Context) {
	now := c.o.Clock()
	var txn store.Txn
	_, err := store.Each(ctx, c.o.Store, prefix, func(kv store.KV) error {
		if len(txn.Then) < store.MaxOps && expired(kv, now) {
			txn.If = append(txn.If, store.Cond{Key: kv.Key, Modified: kv.Modified})
			txn.Then = append(txn.Then, store.Delete(kv.Key))
		}
		return nil
	})
	if err == nil && len(txn.Then) > 0 {
		_, err = c.o.Store.Txn(ctx, txn)
	}
	if err != nil {
		c.o.Log.Warn("cannot clean the deny list, trying again in an hour", "err", err)
	}
}

func expired(kv store.KV, now time.Time) bool {
	switch {
	case strings.HasPrefix(kv.Key, keyAccepted):
		cert, err := x509.ParseCertificate(kv.Value)
		return err == nil && cert.NotAfter.Before(now)
	case strings.HasPrefix(kv.Key, prefix+"deny/"):
		d, err := decodeDenial(kv.Value)
		return err == nil && d.Until.Before(now)
	}
	return false
}
