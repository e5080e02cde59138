package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/g8os/g8os/ac-mock/cluster"
	"github.com/g8os/g8os/ac-mock/config"
	"github.com/g8os/g8os/ac-mock/keyfile"
	"github.com/g8os/g8os/ac-mock/peercert"
	"github.com/g8os/g8os/ac-mock/store/etcd"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/version"
)

// errKeysFirst is wrapped when an AC is to join a grid whose keys it lacks.
var errKeysFirst = errors.New("an AC that joins needs the keys of the grid")

// joining refuses an AC that is to join, and would make keys of its own first.
func joining(cfg config.Config) error {
	if len(cfg.Etcd.Join) == 0 {
		return nil
	}
	for _, path := range []string{cfg.MasterKey, peercert.CAKey(cfg.Peers())} {
		if cfg.Etcd.PeerCert != "" && path != cfg.MasterKey {
			continue
		}
		if _, err := keyfile.Read(path); err != nil {
			return fmt.Errorf("%w: %w", errKeysFirst, err)
		}
	}
	return nil
}

// peerTLS are the files by which this AC is a member: those of the
// configuration, or made here.
func peerTLS(cfg config.Config) (etcd.PeerTLS, error) {
	e := cfg.Etcd
	if e.PeerURL == "" || e.PeerCert != "" {
		return etcd.PeerTLS{Certificate: e.PeerCert, Key: e.PeerKey, CA: e.PeerCA}, nil
	}
	files, err := peercert.Ensure(cfg.Peers(), cfg.PeerHost(), len(e.Join) == 0, time.Now())
	return etcd.PeerTLS(files), err
}

// others makes what this AC knows of the other ones.
func (ac *controller) others(log *slog.Logger) *cluster.Cluster {
	o := cluster.Options{Store: ac.store, Name: ac.cfg.Name, Version: version.Version(), Log: log}
	o.Sessions = func() int {
		if count := ac.sessions.Load(); count != nil {
			return (*count)()
		}
		return 0
	}
	if members, ok := ac.engine.(cluster.Members); ok {
		o.Members = members
	}
	if _, port, err := net.SplitHostPort(ac.cfg.Listen); err == nil && ac.cfg.PeerHost() != "" {
		o.URL = "https://" + net.JoinHostPort(ac.cfg.PeerHost(), port)
	}
	for _, f := range ac.cfg.Fallback {
		o.Segments = append(o.Segments, f.Segment)
	}
	return cluster.New(o)
}

// removed ends the AC when the others have removed it.
func (ac *controller) removed(ctx context.Context) error {
	m, ok := ac.engine.(interface{ Ended() <-chan struct{} })
	if !ok {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-m.Ended():
		return fmt.Errorf("the store in %s: %w", ac.cfg.EtcdDir(), etcd.ErrRemoved)
	}
}

// peerClient asks other ACs as this one.
func (ac *controller) peerClient() *http.Client {
	c := &peerCertificate{ac: ac}
	return &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		TLSHandshakeTimeout: 2 * time.Second,
		IdleConnTimeout:     30 * time.Second,
		TLSClientConfig: &tls.Config{
			MinVersion:           tls.VersionTLS13,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.get(time.Now()) },
			InsecureSkipVerify:   true, // VerifyConnection does it: by identity, not by host name
			VerifyConnection: func(cs tls.ConnectionState) error {
				_, err := api.VerifyAC(cs.PeerCertificates, ac.ca.Pinned(), time.Now())
				return err
			},
		},
	}}
}

// peerCertificate is this AC's client certificate, renewed at half life.
type peerCertificate struct {
	ac      *controller
	current atomic.Pointer[tls.Certificate]
}

func (p *peerCertificate) get(now time.Time) (*tls.Certificate, error) {
	if c := p.current.Load(); c != nil {
		half := c.Leaf.NotBefore.Add(c.Leaf.NotAfter.Sub(c.Leaf.NotBefore) / 2)
		if now.Before(half) && now.After(c.Leaf.NotBefore) {
			return c, nil
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key for other ACs: %w", err)
	}
	id := api.Identity{Grid: p.ac.cfg.Grid, Role: api.RoleAC, Name: p.ac.cfg.Name}
	leaf, chain, err := p.ac.ca.Issue(id, &key.PublicKey, p.ac.ca.LeafLife(), time.Time{})
	if err != nil {
		return nil, fmt.Errorf("certificate for other ACs: %w", err)
	}
	c := &tls.Certificate{PrivateKey: key, Leaf: leaf}
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		c.Certificate = append(c.Certificate, block.Bytes)
	}
	p.current.Store(c)
	return c, nil
}
