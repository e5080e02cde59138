package ca

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/g8os/g8os/core/api"
)

// ErrKey is wrapped when a public key is not one that certificates are issued
// for.
var ErrKey = errors.New("no certificate for such a key")

// Issue signs a client certificate for a public key (ECDSA on P-256 or P-384,
// or Ed25519), good from now. Chain is PEM, leaf first, without the root. The
// life is cut where it would outlive the issuer. For a node, last is its last
// issue time; that of the leaf (IssuedAt) has to be recorded as the new one, in
// the transaction of the decision. For others last does not matter.
func (c *CA) Issue(id api.Identity, public any, life time.Duration, last time.Time) (leaf *x509.Certificate, chain []byte, err error) {
	if err := acceptable(public); err != nil {
		return nil, nil, err
	}
	t, now := c.trust.Load(), c.o.Clock().Truncate(time.Second)
	template, err := c.leaf(id, now.Add(-Backdate), now.Add(life), x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, nil, err
	}
	if id.Role == api.RoleNode {
		template.Subject.SerialNumber = nextIssue(t.last(api.NodeID(id.Name), last), now).Format(issueLayout)
	}
	leaf, err = t.sign(template, public)
	if err != nil {
		return nil, nil, err
	}
	return leaf, append(encodeCert(leaf), encodeCert(t.issuer)...), nil
}

func acceptable(public any) error {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() {
			return nil
		}
		return fmt.Errorf("%w: ECDSA on %s, want P-256 or P-384", ErrKey, k.Curve.Params().Name)
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("%w: %T, want ECDSA or Ed25519", ErrKey, public)
}

// leaf is the template of a leaf's certificate.
func (c *CA) leaf(id api.Identity, from, until time.Time, usage x509.ExtKeyUsage) (*x509.Certificate, error) {
	serial, err := c.newSerial()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"G8OS"}, OrganizationalUnit: []string{string(id.Role)}, CommonName: id.Name},
		URIs:         []*url.URL{id.URI()},
		NotBefore:    from,
		NotAfter:     until,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{usage},
	}, err
}

func (t *trust) sign(template *x509.Certificate, public any) (*x509.Certificate, error) {
	template.NotAfter = earlier(template.NotAfter, t.issuer.NotAfter)
	der, err := x509.CreateCertificate(rand.Reader, template, t.issuer, public, t.signer)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", template.Subject.CommonName, err)
	}
	return x509.ParseCertificate(der)
}

// ServerOptions says for which names an AC's certificate is.
type ServerOptions struct {
	Name string   // of the AC: spiffe://GRID/ac/NAME
	DNS  []string // for browsers; nodes look only at the identity
	IPs  []net.IP
}

// Server returns a certificate source for tls.Config.GetCertificate: it renews
// itself at half life or under a new issuing CA, without a restart and without
// I/O in a handshake.
func (c *CA) Server(o ServerOptions) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	s := &server{ca: c, o: o}
	if err := s.renew(); err != nil {
		return nil, err
	}
	c.serving.Lock()
	c.servers = append(c.servers, s)
	c.serving.Unlock()
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.get(), nil }, nil
}

// RenewServers replaces the certificates of all sources that Server returned,
// and their keys, now.
func (c *CA) RenewServers() error {
	c.serving.Lock()
	defer c.serving.Unlock()
	for _, s := range c.servers {
		s.renewing.Lock()
		err := s.renew()
		s.renewing.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

type server struct {
	ca       *CA
	o        ServerOptions
	renewing sync.Mutex
	current  atomic.Pointer[tls.Certificate]
	issuer   atomic.Pointer[x509.Certificate]
}

// get returns the certificate; whoever finds it old renews it, and others go
// on with the old one meanwhile.
func (s *server) get() *tls.Certificate {
	if s.due() && s.renewing.TryLock() {
		defer s.renewing.Unlock()
		if err := s.renew(); err != nil {
			s.ca.o.Log.Error("cannot renew the AC's own certificate", "ac", s.o.Name, "err", err)
		}
	}
	return s.current.Load()
}

func (s *server) due() bool {
	leaf, now := s.current.Load().Leaf, s.ca.o.Clock()
	half := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
	return now.After(half) || now.Before(leaf.NotBefore) || s.issuer.Load() != s.ca.trust.Load().issuer
}

func (s *server) renew() error {
	issuer := s.ca.trust.Load().issuer
	now := s.ca.o.Clock()
	cert, err := s.ca.IssueServer(s.o, now.Add(-Backdate), now.Add(s.ca.o.NodeLife))
	if err != nil {
		return err
	}
	s.current.Store(cert)
	s.issuer.Store(issuer)
	return nil
}

// IssueServer makes one AC certificate, with a new key, for a chosen time, also
// for the faults that show an expired one or one not yet valid.
func (c *CA) IssueServer(o ServerOptions, notBefore, notAfter time.Time) (*tls.Certificate, error) {
	key, err := c.o.NewKey()
	if err != nil {
		return nil, fmt.Errorf("make the key of AC %s: %w", o.Name, err)
	}
	t := c.trust.Load()
	id := api.Identity{Grid: c.o.Grid, Role: api.RoleAC, Name: o.Name}
	template, err := c.leaf(id, notBefore, notAfter, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return nil, err
	}
	template.DNSNames, template.IPAddresses = o.DNS, o.IPs
	leaf, err := t.sign(template, key.Public())
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw, t.issuer.Raw}, PrivateKey: key, Leaf: leaf}, nil
}
