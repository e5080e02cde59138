package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/core/api"
)

// tlsConfig makes the configuration that every handshake starts from. Session
// tickets are off: a resumed session would not be verified again.
func (s *Server) tlsConfig() *tls.Config {
	base := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{"http/1.1"},
		ClientAuth:             tls.VerifyClientCertIfGiven,
		SessionTicketsDisabled: true,
		Time:                   s.opt.Clock,
		GetCertificate:         s.certificate,
		VerifyConnection:       s.verifyConnection,
	}
	var current atomic.Pointer[tls.Config]
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		pool := s.opt.Trust.ClientCAs()
		if c := current.Load(); c != nil && c.ClientCAs == pool {
			return c, nil
		}
		c := base.Clone()
		c.ClientCAs, c.GetConfigForClient = pool, nil
		current.Store(c)
		return c, nil
	}
	return base
}

// certificate chooses what the AC shows: its own certificate, or that of a fault.
func (s *Server) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	switch {
	case s.faulty(fault.WrongCA, hello.Conn):
		return strangers(api.Identity{Grid: s.opt.Grid, Role: api.RoleAC, Name: s.opt.Name}, s.opt.Clock())
	case s.faulty(fault.ExpiredCert, hello.Conn):
		now := s.opt.Clock()
		return s.opt.Trust.Expired(now.Add(-2*time.Hour), now.Add(-time.Hour))
	}
	return s.opt.Certificate(hello)
}

// verifyConnection refuses certificates that are on the deny list.
func (s *Server) verifyConnection(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return nil
	}
	if err := s.opt.Trust.Denied(cs.PeerCertificates[0]); err != nil {
		return fmt.Errorf("client certificate: %w", err)
	}
	return nil
}

// strangers makes a server certificate that says what an AC's says, signed by
// a CA that nobody pinned.
func strangers(id api.Identity, now time.Time) (*tls.Certificate, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stranger"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), URIs: []*url.URL{id.URI()},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// OwnMachine says whether a connection comes from the machine that the AC runs
// on. No node does: such a connection is an operator's, and the faults that
// hold before anybody has said who he is spare it, so that they can be cleared.
func OwnMachine(c net.Conn) bool {
	local, ok1 := c.LocalAddr().(*net.TCPAddr)
	remote, ok2 := c.RemoteAddr().(*net.TCPAddr)
	return ok1 && ok2 && (remote.IP.IsLoopback() || remote.IP.Equal(local.IP))
}
