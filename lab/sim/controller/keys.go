package controller

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/sim/channel"
)

// newKey makes the CA's keys from a stream. Ed25519, because its signatures
// follow from the key alone.
func newKey(random io.Reader) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) {
		seed := make([]byte, ed25519.SeedSize)
		_, err := io.ReadFull(random, seed)
		return ed25519.NewKeyFromSeed(seed), err
	}
}

// Root keeps the CA's root in memory.
type Root struct{ text []byte }

// Read returns it (ca.Root).
func (r *Root) Read() ([]byte, error) {
	if r.text == nil {
		return nil, fs.ErrNotExist
	}
	return r.text, nil
}

// Create keeps it (ca.Root).
func (r *Root) Create(text []byte) error {
	if r.text != nil {
		return fs.ErrExist
	}
	r.text = slices.Clone(text)
	return nil
}

// String says where it is (ca.Root).
func (r *Root) String() string { return "the memory of the simulator" }

// expired is a certificate of this AC that ran out an hour ago.
func (r *run) expired() []*x509.Certificate {
	now := r.Now()
	cert, err := r.ca.IssueServer(ca.ServerOptions{Name: r.o.Name}, now.Add(-2*time.Hour), now.Add(-time.Hour))
	if err != nil {
		return nil
	}
	chain, _ := channel.Parse(cert.Certificate)
	return chain
}

// strangers is a chain that says what the AC's says, signed by a CA that nobody
// has pinned.
func (r *run) strangers() []*x509.Certificate {
	if r.wrong == nil {
		id := api.Identity{Grid: r.o.Grid, Role: api.RoleAC, Name: r.o.Name}
		r.wrong, _ = SelfMade(id, r.rng, r.Now())
	}
	return r.wrong
}

// SelfMade is the chain of somebody who made a CA of his own.
func SelfMade(id api.Identity, random io.Reader, now time.Time) ([]*x509.Certificate, error) {
	made := newKey(random)
	rootKey, err := made()
	key, err2 := made()
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	from, until := now.Add(-10*365*24*time.Hour), now.Add(10*365*24*time.Hour)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stranger"}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), URIs: []*url.URL{id.URI()}, NotBefore: from, NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(nil, leaf, root, key.Public(), rootKey)
	if err != nil {
		return nil, fmt.Errorf("certificate of a stranger: %w", err)
	}
	return channel.Parse([][]byte{der})
}

func (r *run) inOrder() []*session {
	var all []*session
	for _, id := range slices.Sorted(maps.Keys(r.sessions)) {
		all = append(all, r.sessions[id])
	}
	return all
}

// Approve lets a node in that waits for it; ref is its id.
func (c *Controller) Approve(ref string) error {
	r := c.run
	if r == nil {
		return fmt.Errorf("approve %s: AC %s does not run", ref, c.o.Name)
	}
	_, err := r.registry.Approve(context.Background(), "operator", ref)
	return err
}

// SetGrace says how far a node may unlock without an AC.
func (c *Controller) SetGrace(ref string, g api.Grace) error {
	r := c.run
	if r == nil {
		return fmt.Errorf("grace of %s: AC %s does not run", ref, c.o.Name)
	}
	n, err := r.registry.SetGrace(context.Background(), "operator", ref, g)
	if err != nil {
		return err
	}
	if s := r.sessions[n.ID]; s != nil {
		settings := r.registry.Settings(n.ID)
		s.Send(channel.Frame{Type: api.FrameSettings, Settings: &settings})
	}
	return nil
}

// Node is what the AC knows of a node.
func (c *Controller) Node(ref string) (api.Node, error) {
	if c.run == nil {
		return api.Node{}, fmt.Errorf("node %s: AC %s does not run", ref, c.o.Name)
	}
	return c.run.registry.Node(context.Background(), ref)
}

// Revoke makes the certificates of the nodes that are meant void.
func (c *Controller) Revoke(meant func(api.NodeID) bool) error {
	r := c.run
	if r == nil {
		return fmt.Errorf("revoke: AC %s does not run", c.o.Name)
	}
	nodes, err := r.registry.Nodes(context.Background())
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if meant(n.ID) && n.CertificateExpires != nil && n.State != api.NodeRetired {
			if _, err := r.registry.Revoke(context.Background(), "operator", string(n.ID)); err != nil {
				return err
			}
		}
	}
	r.revokedNow()
	return nil
}
