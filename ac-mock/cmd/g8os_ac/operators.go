package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/ac-mock/config"
	"github.com/g8os/g8os/core/api"
)

// firstAdmin is the name of who is root on the machine of the first AC.
const firstAdmin = "first"

// adminLife is how long the first admin's certificate is asked for. It is
// renewed at a start of the AC in the second half of its time.
const adminLife = 365 * 24 * time.Hour

// firstAdmin sees to it that whoever is root on this machine can operate the
// grid: operators/ holds a folder's worth of credentials, to be used here or
// carried away as a whole.
func (ac *controller) firstAdmin(ctx context.Context, now time.Time) error {
	dir := ac.cfg.Operators()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("folder of the first admin: %w", err)
	}
	if err := replace(filepath.Join(dir, "ca.pem"), ac.ca.RootPEM(), 0o644); err != nil {
		return err
	}
	crt, key := filepath.Join(dir, "admin.crt"), filepath.Join(dir, "admin.key")
	good := ac.good(crt, key, now)
	if !good {
		ended, err := ac.firstAdminEnded(ctx)
		if err != nil {
			return err
		}
		good = ended
	}
	if !good {
		if err := ac.issueAdmin(ctx, crt, key); err != nil {
			return err
		}
	}
	path := filepath.Join(dir, "admin.toml")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // it may have been edited
	}
	return client.Context{AC: []string{localURL(ac.cfg)}, CA: "ca.pem", Certificate: "admin.crt", Key: "admin.key"}.Save(path, 0o600)
}

// firstAdminEnded says whether the first admin was revoked and others can act:
// then he stays revoked. Who is root here, and lost all admins, is let in again.
func (ac *controller) firstAdminEnded(ctx context.Context) (ended bool, err error) {
	list, err := ac.registry.Operators(ctx)
	others := false
	for _, o := range list {
		switch {
		case o.Name == firstAdmin && o.State == "revoked":
			ended = true
		case o.Role == "admin" && o.State == "active":
			others = true
		}
	}
	return ended && others, err
}

// good says whether the credentials are whole, of this grid, and not about to
// run out.
func (ac *controller) good(crt, key string, now time.Time) bool {
	pair, err := tls.LoadX509KeyPair(crt, key)
	if err != nil {
		return false
	}
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return false
		}
		chain = append(chain, c)
	}
	_, err = api.VerifyClient(chain, ac.ca.ClientCAs(), now)
	half := chain[0].NotBefore.Add(chain[0].NotAfter.Sub(chain[0].NotBefore) / 2)
	return err == nil && now.Before(half) && ac.ca.Denied(chain[0]) == nil
}

func (ac *controller) issueAdmin(ctx context.Context, crt, key string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("key of the first admin: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return fmt.Errorf("key of the first admin: %w", err)
	}
	actor := api.Identity{Grid: ac.cfg.Grid, Role: api.RoleAC, Name: ac.cfg.Name}.String()
	chain, err := ac.registry.Operator(ctx, actor, "admin."+firstAdmin, &private.PublicKey, adminLife)
	if err != nil {
		return fmt.Errorf("certificate of the first admin: %w", err)
	}
	if err := replace(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	return replace(crt, chain, 0o600)
}

// replace writes a file whole or not at all.
func replace(path string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// localURL is where this AC is for a client on the same machine.
func localURL(cfg config.Config) string {
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil || host == "" || net.ParseIP(host).IsUnspecified() {
		host = "127.0.0.1"
	}
	return "https://" + net.JoinHostPort(host, port)
}

// clientTLS loads what an operator's own cluster wants of us, if it is https.
func clientTLS(e config.Etcd) (*tls.Config, error) {
	if e.ClientCA == "" && e.ClientCert == "" {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.ClientCA != "" {
		text, err := os.ReadFile(e.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("etcd.client_ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("etcd.client_ca: %s holds no PEM certificate", e.ClientCA)
		}
	}
	if e.ClientCert != "" {
		pair, err := tls.LoadX509KeyPair(e.ClientCert, e.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("etcd.client_certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}
