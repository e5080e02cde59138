package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/config"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/fallback"
	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/ac-mock/keyfile"
	"github.com/g8os/g8os/ac-mock/layers"
	"github.com/g8os/g8os/ac-mock/registry"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/server"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/etcd"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/version"
)

// controller is an AC without its port: what it knows, and what it signs with.
type controller struct {
	cfg      config.Config
	store    store.Store
	ca       *ca.CA
	registry *registry.Registry
}

// open opens everything that an AC keeps, and makes what is not there yet.
func open(ctx context.Context, cfg config.Config, log *slog.Logger) (ac *controller, err error) {
	ac = &controller{cfg: cfg}
	defer func() {
		if err != nil {
			ac.close()
		}
	}()
	// Flags may have moved the data to where the key is.
	if err := keyfile.Outside(cfg.MasterKey, cfg.DataDir); err != nil {
		return ac, err
	}
	sealer, created, err := seal.Load(seal.Options{File: cfg.MasterKey, DataDir: cfg.EtcdDir()})
	if err != nil {
		return ac, err
	}
	if created {
		log.Warn("master key made: keep a copy of it, away from the data", "file", cfg.MasterKey)
	}
	if ac.store, err = openStore(ctx, cfg, log); err != nil {
		return ac, err
	}
	if ac.ca, err = ca.Open(ctx, ca.Options{
		Store: ac.store, Seal: sealer, Grid: cfg.Grid, RootKey: cfg.RootKey(), DataDir: cfg.DataDir,
		NodeLife: cfg.CertificateLife, Log: log,
	}); err != nil {
		return ac, err
	}
	if ac.registry, err = registry.Open(ctx, registry.Options{
		Store: ac.store, Seal: sealer, CA: ac.ca, Policy: enrol.Policy{Mode: enrol.Mode(cfg.Policy)},
		Grid: cfg.Grid, AuthorizedKeys: cfg.AuthorizedKeys, Log: log,
	}); err != nil {
		return ac, err
	}
	return ac, ac.firstAdmin(ctx, time.Now())
}

func openStore(ctx context.Context, cfg config.Config, log *slog.Logger) (store.Store, error) {
	e := cfg.Etcd
	if len(e.Endpoints) > 0 {
		t, err := clientTLS(e)
		if err != nil {
			return nil, err
		}
		return etcd.Dial(ctx, etcd.DialOptions{Endpoints: e.Endpoints, TLS: t, Log: log})
	}
	return etcd.Open(ctx, etcd.Options{
		Dir: cfg.EtcdDir(), Name: e.Name, PeerURL: e.PeerURL,
		PeerTLS:    etcd.PeerTLS{Certificate: e.PeerCert, Key: e.PeerKey, CA: e.PeerCA},
		QuotaBytes: e.QuotaBytes, Keep: e.CompactionAge, Log: log,
	})
}

func (ac *controller) close() {
	if ac.registry != nil {
		_ = ac.registry.Close()
	}
	if ac.ca != nil {
		_ = ac.ca.Close()
	}
	if ac.store != nil {
		_ = ac.store.Close()
	}
}

// serve runs an AC until ctx ends.
func serve(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	l, err := server.Listen(ctx, cfg.Listen, len(cfg.Fallback) > 0)
	if err != nil {
		return err
	}
	defer l.Close()
	ac, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer ac.close()
	srv, err := ac.server(log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	part := func(name string, f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	part("server", func() error { return srv.Run(ctx) })
	part("listener", func() error { return srv.Serve(l) })
	if len(cfg.Fallback) > 0 {
		part("fallback", func() error { return ac.fallback(srv, l, log).Run(ctx) })
	}
	log.Info("serving", "grid", cfg.Grid, "ac", cfg.Name, "listen", l.Addr().String(), "policy", cfg.Policy,
		"faults", cfg.Faults, "fallback", cfg.Fallback)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	log.Info("stopped")
	return nil
}

func (ac *controller) server(log *slog.Logger) (*server.Server, error) {
	names := serverNames(ac.cfg)
	certificate, err := ac.ca.Server(names)
	if err != nil {
		return nil, err
	}
	all, err := layers.Open(ac.cfg.Layers)
	if err != nil {
		return nil, err
	}
	return server.New(server.Options{
		Grid: ac.cfg.Grid, Name: ac.cfg.Name, Version: version.Version(),
		Registry: ac.registry, Trust: trust{ac.ca, names}, Certificate: certificate,
		Faults: fault.NewSet(ac.cfg.Faults), Layer: all.Find, Failed: failed, Log: log,
	}), nil
}

func (ac *controller) fallback(srv *server.Server, l net.Listener, log *slog.Logger) *fallback.Holder {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	addr := net.JoinHostPort(api.FallbackAddress, port)
	return fallback.New(fallback.Options{
		Interfaces: ac.cfg.Fallback,
		Listen:     func(device string) (net.Listener, error) { return server.ListenOn(context.Background(), device, addr) },
		Serve:      srv.Serve,
		Log:        log,
	})
}

// trust is the CA as the server wants it.
type trust struct {
	*ca.CA
	names ca.ServerOptions
}

// Expired implements server.Trust.
func (t trust) Expired(notBefore, notAfter time.Time) (*tls.Certificate, error) {
	return t.IssueServer(t.names, notBefore, notAfter)
}

func serverNames(cfg config.Config) ca.ServerOptions {
	o := ca.ServerOptions{Name: cfg.Name}
	for _, n := range append([]string{"localhost", "127.0.0.1", api.FallbackAddress}, cfg.Names...) {
		if ip := net.ParseIP(n); ip != nil {
			o.IPs = append(o.IPs, ip)
		} else {
			o.DNS = append(o.DNS, n)
		}
	}
	return o
}

// failed says which of the registry's errors an operator can do something about.
func failed(err error) (status int, remedy string, ok bool) {
	switch {
	case errors.Is(err, registry.ErrUnknown):
		return http.StatusNotFound, "g8os nodes lists the nodes", true
	case errors.Is(err, registry.ErrState):
		return http.StatusConflict, "g8os node show NODE says where it stands", true
	}
	return 0, "", false
}
