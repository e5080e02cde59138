package ca

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
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
// whose issue time is not after At; a later one counts again.
type Denial struct {
	At    time.Time `json:"at"`    // for a node an issue time: a clock that was ahead is in it
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
	if err != nil {
		return nil
	}
	if err := t.retired(cert, id.Role); err != nil || id.Role != api.RoleNode {
		return err
	}
	if d, ok := t.nodes[api.NodeID(id.Name)]; ok && !IssuedAt(cert).After(d.At) {
		return fmt.Errorf("%w: all of node %s issued until %s", ErrRevoked, id.Name, d.At.Format(time.RFC3339))
	}
	return nil
}

// DenyNode returns the write that makes void all certificates of a node issued
// so far, and its issue time; last is the node's last one. Both belong in the
// transaction of the decision: the write, and the issue time as the node's last.
// Call Sync after it.
func (c *CA) DenyNode(id api.NodeID, last time.Time) (store.Op, time.Time) {
	at := nextIssue(c.trust.Load().last(id, last), c.o.Clock())
	value, _ := json.Marshal(Denial{At: at, Until: at.Add(c.o.NodeLife + 2*time.Second)}) // two times cannot fail
	return store.Put(keyDenyNode+string(id), value), at
}

// last is a node's last issue time: what its record says, or its denial if that
// is later, as it may be beside a record that was written before records said it.
func (t *trust) last(id api.NodeID, recorded time.Time) time.Time {
	return later(recorded, t.nodes[id].At)
}

// DenySerial returns the write that makes one certificate void.
func (c *CA) DenySerial(serial *big.Int, notAfter time.Time) store.Op {
	value, _ := json.Marshal(Denial{At: c.o.Clock().UTC(), Until: notAfter.UTC()}) // two times cannot fail
	return store.Put(keyDenySerial+serialName(serial), value)
}

// dropExpired forgets denials of certificates that have all expired, and
// accepted CAs that have; never the one that signs or will, which a clock that is ahead
// would take away for good.
func (c *CA) dropExpired(ctx context.Context) {
	now, t := c.o.Clock(), c.trust.Load()
	signs := []string{keyAccepted + serialName(t.issuer.SerialNumber)}
	if t.next != nil {
		signs = append(signs, keyAccepted+serialName(t.next.SerialNumber))
	}
	var txn store.Txn
	_, err := store.Each(ctx, c.o.Store, prefix, func(kv store.KV) error {
		if len(txn.Then) < store.MaxOps && !slices.Contains(signs, kv.Key) && expired(kv, now) {
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
	case strings.HasPrefix(kv.Key, prefix+"deny/"), strings.HasPrefix(kv.Key, keyRetired):
		d, err := decodeDenial(kv.Value)
		return err == nil && d.Until.Before(now)
	}
	return false
}
