// Package ca issues the certificates of a grid and says which ones no longer
// count.
//
//	root key file ── signs ──▶ issuing CA ── signs ──▶ leaves: ACs, nodes, operators
//	(offline, 10 years)        (key sealed in the        (5 days; an operator's
//	     │                      store, 1 year)            as long as asked for)
//	     └─ certificate: pinned by nodes       └─ certificate: in the chain of every leaf
//
//	next issuing CA: prepared (accepted) ──▶ active (signs) ──▶ earlier (accepted) ──▶ retired, or run out
//
// It promises that the issuing CA and the accepted ones are separate lists, so
// that one can be replaced without a flag day; that a leaf never outlives its
// issuer and is backdated by Backdate for clocks that are behind; that a
// revocation covers all that a node was issued before it and nothing after it,
// also when a clock was ahead and has been put right; that what is
// asked in a TLS handshake (pools, deny list, the server's certificate) is an
// immutable snapshot, without locks and I/O; and that all ACs on a store agree
// within moments. It does not decide who gets a certificate: registry does.
package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Lifetimes. A certificate is renewed when half of its life is over.
const (
	DefaultLeafLife = 5 * 24 * time.Hour
	// Backdate is how far before its issue a certificate begins to be valid.
	Backdate    = api.Backdate
	issuingLife = 365 * 24 * time.Hour
	rootLife    = 10 * issuingLife
)

// Options says what a CA is made of.
type Options struct {
	Store store.Store
	Seal  *seal.Sealer
	Grid  string // lower-case letters, digits, dots and dashes: it is the host of every identity
	// RootKey is the PEM file of the root (key and certificate), made at first
	// start, and needed again only to make a new issuing CA, once in ten
	// months: take it offline. It must not lie in DataDir.
	RootKey string
	DataDir string
	// Root is where the root lies instead, if not in such a file.
	Root Root
	// NodeLife is how long the certificates of nodes and ACs are good. Default DefaultLeafLife.
	NodeLife time.Duration
	Clock    func() time.Time // default time.Now
	Log      *slog.Logger     // default: none
	// Rand makes the serial numbers. Default: the kernel's. It is read from
	// many goroutines if the CA was opened.
	Rand io.Reader
	// NewKey makes the keys of the root, of issuing CAs and of ACs: ECDSA, or
	// Ed25519, whose signatures depend on nothing but key and certificate.
	// Default: ECDSA on P-256 with the kernel's randomness. It is called from
	// many goroutines if the CA was opened.
	NewKey func() (crypto.Signer, error)
}

// CA issues and revokes. Its methods may be called from many goroutines.
type CA struct {
	o       Options
	trust   atomic.Pointer[trust]
	loading sync.Mutex // one load at a time, so that a later one never yields to an earlier one
	serving sync.Mutex // guards servers
	servers []*server
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// trust is everything a handshake asks for. It is replaced, never changed.
type trust struct {
	revision int64
	root     *x509.Certificate
	pinned   *x509.CertPool
	issuer   *x509.Certificate
	signer   crypto.Signer
	next     *x509.Certificate // the issuing CA to come; nil: none is prepared
	accepted *x509.CertPool
	issuers  []*x509.Certificate // in accepted
	gone     map[string]Denial   // issuing CAs that are retired, by key id
	serials  map[string]Denial
	nodes    map[api.NodeID]Denial
	changed  chan struct{}
}

var gridName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)

// Open loads the CA from the store, makes it at first start, and follows it.
func Open(ctx context.Context, o Options) (*CA, error) {
	c, err := New(ctx, o)
	if err != nil {
		return nil, err
	}
	follow, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.wg.Go(func() { c.follow(follow) })
	return c, nil
}

// New loads the CA, makes it at first start, and does nothing on its own. The
// caller does what Open leaves to a goroutine: it hands in the store's news
// (Take, or Sync), and calls Tend every TendEvery. It need not be closed.
func New(ctx context.Context, o Options) (*CA, error) {
	if !gridName.MatchString(o.Grid) {
		return nil, fmt.Errorf("grid name %q: want lower-case letters, digits, dots and dashes, at most 63", o.Grid)
	}
	c := &CA{o: o.withDefaults(), cancel: func() {}}
	if err := c.found(ctx); err != nil {
		return nil, err
	}
	if err := c.Sync(ctx); err != nil {
		return nil, err
	}
	c.keepIssuing(ctx)
	return c, nil
}

func (o Options) withDefaults() Options {
	if o.NodeLife == 0 {
		o.NodeLife = DefaultLeafLife
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Root == nil {
		o.Root = rootFile{path: o.RootKey, dataDir: o.DataDir}
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.NewKey == nil {
		o.NewKey = func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
	}
	return o
}

// Close stops following the store.
func (c *CA) Close() error {
	c.cancel()
	c.wg.Wait()
	return nil
}

// RootPEM is the certificate that nodes pin.
func (c *CA) RootPEM() []byte { return encodeCert(c.trust.Load().root) }

// Pinned is the pool that nodes and operators verify an AC against.
func (c *CA) Pinned() *x509.CertPool { return c.trust.Load().pinned }

// AcceptedPEM is what nodes are to accept for ACs, beside the pinned root: the
// roots that may come to sign ACs. There is one root now, so it is that.
func (c *CA) AcceptedPEM() []byte { return c.RootPEM() }

// ClientCAs is the pool that client certificates are verified against: the
// accepted issuing CAs. It changes; ask at every handshake.
func (c *CA) ClientCAs() *x509.CertPool { return c.trust.Load().accepted }

// Changed is closed when trust (accepted CAs, deny list) has changed; ask
// again for the next change.
func (c *CA) Changed() <-chan struct{} { return c.trust.Load().changed }

// LeafLife is how long the certificates of nodes and ACs are good.
func (c *CA) LeafLife() time.Duration { return c.o.NodeLife }
