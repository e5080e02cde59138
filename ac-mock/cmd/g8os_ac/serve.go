package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/cluster"
	"github.com/g8os/g8os/ac-mock/config"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/events"
	"github.com/g8os/g8os/ac-mock/fallback"
	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/ac-mock/jobs"
	"github.com/g8os/g8os/ac-mock/jobs/output"
	"github.com/g8os/g8os/ac-mock/jobs/schedule"
	"github.com/g8os/g8os/ac-mock/keyfile"
	"github.com/g8os/g8os/ac-mock/layers"
	"github.com/g8os/g8os/ac-mock/metrics"
	"github.com/g8os/g8os/ac-mock/registry"
	"github.com/g8os/g8os/ac-mock/releases"
	"github.com/g8os/g8os/ac-mock/rotate/drive"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/server"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/etcd"
	"github.com/g8os/g8os/ac-mock/support"
	"github.com/g8os/g8os/ac-mock/upgrade"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/version"
)

// controller is an AC without its port: what it knows, and what it signs with.
type controller struct {
	cfg      config.Config
	engine   store.Store // the store itself, which may be a member of a cluster
	store    store.Store
	ca       *ca.CA
	registry *registry.Registry
	jobs     *jobs.Queue
	peer     *http.Client // asks other ACs
	metrics  *metrics.Metrics
	cluster  *cluster.Cluster
	seal     *seal.Sealer
	rotate   *drive.Driver
	schedule *schedule.Scheduler
	events   *events.Log
	upgrade  *upgrade.Driver
	sessions atomic.Pointer[func() int] // how many there are, once there is a port
}

// open opens everything that an AC keeps, and makes what is not there yet.
func open(ctx context.Context, cfg config.Config, log *slog.Logger) (ac *controller, err error) {
	ac = &controller{cfg: cfg, metrics: metrics.New(cfg.Grid, cfg.Name, version.Version())}
	defer func() {
		if err != nil {
			ac.close()
		}
	}()
	// Flags may have moved the data to where the key is.
	if err := keyfile.Outside(cfg.MasterKey, cfg.DataDir); err != nil {
		return ac, err
	}
	if err := joining(cfg); err != nil {
		return ac, err
	}
	sealer, created, err := seal.Load(seal.Options{File: cfg.MasterKey, DataDir: cfg.EtcdDir()})
	if err != nil {
		return ac, err
	}
	if created {
		log.Warn("master key made: keep a copy of it, away from the data", "file", cfg.MasterKey)
	}
	st, err := openStore(ctx, cfg, log)
	if err != nil {
		return ac, err
	}
	ac.engine, ac.store, ac.seal = st, ac.metrics.Store(st), sealer
	if err := understood(ctx, ac.store); err != nil {
		return ac, err
	}
	if _, err := drive.CatchUp(ctx, ac.store, sealer); err != nil {
		return ac, err
	}
	if ac.ca, err = ca.Open(ctx, ca.Options{
		Store: ac.store, Seal: sealer, Grid: cfg.Grid, RootKey: cfg.RootKey(), DataDir: cfg.DataDir,
		NodeLife: cfg.CertificateLife, Log: log,
	}); err != nil {
		return ac, err
	}
	ac.cluster, ac.peer = ac.others(log), ac.peerClient()
	if ac.registry, err = registry.Open(ctx, registry.Options{
		Store: ac.store, Seal: sealer, CA: ac.ca, Policy: enrol.Policy{Mode: enrol.Mode(cfg.Policy)},
		Grid: cfg.Grid, AuthorizedKeys: cfg.AuthorizedKeys, AC: cfg.Name, Alive: ac.cluster.Alive, Log: log,
	}); err != nil {
		return ac, err
	}
	if ac.jobs, err = ac.queue(ctx, log); err != nil {
		return ac, err
	}
	return ac, ac.firstAdmin(ctx, time.Now())
}

// queue opens the queue of jobs.
func (ac *controller) queue(ctx context.Context, log *slog.Logger) (*jobs.Queue, error) {
	said, err := output.Open(output.Options{Dir: filepath.Join(ac.cfg.DataDir, "output"), Log: log})
	if err != nil {
		return nil, err
	}
	o := jobs.Options{
		Store: ac.store, Output: said, AC: ac.cfg.Name, Entry: ac.registry.Entry, Noted: ac.registry.Noted, Log: log,
		Name: func(id api.NodeID) string { n, _ := ac.registry.Node(ctx, string(id)); return n.Name },
		Elsewhere: func(id api.NodeID) bool {
			n, err := ac.registry.Node(ctx, string(id))
			return err == nil && n.AC != ac.cfg.Name && ac.cluster.Alive(n.AC)
		},
		Drained: func(id api.NodeID) bool { return ac.registry.TakesJobs(id) != nil },
		Leads:   ac.leads, Peers: server.Peers{Cluster: ac.cluster, Client: ac.peer},
	}
	return jobs.Open(ctx, o)
}

// leads says whether this AC is the one that tidies up: the first by name of
// those that are there.
func (ac *controller) leads() bool {
	for _, p := range ac.cluster.Others() {
		if p.Name < ac.cfg.Name {
			return false
		}
	}
	return true
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
	peers, err := peerTLS(cfg)
	if err != nil {
		return nil, err
	}
	return etcd.Open(ctx, etcd.Options{
		Dir: cfg.EtcdDir(), Name: e.Name, PeerURL: e.PeerURL, PeerTLS: peers, Join: e.Join,
		QuotaBytes: e.QuotaBytes, Keep: e.CompactionAge, Log: log,
	})
}

func (ac *controller) close() {
	if ac.jobs != nil {
		ac.jobs.Close()
	}
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
// recent keeps what log writes, for support bundles.
func serve(ctx context.Context, cfg config.Config, log *slog.Logger, recent *support.Recent) error {
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
	srv, err := ac.server(log, recent)
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
	sessions := srv.Sessions
	ac.sessions.Store(&sessions)
	part("server", func() error { return srv.Run(ctx) })
	part("events", func() error { ac.events.Run(ctx); return nil })
	part("upgrades", func() error { ac.upgrade.Run(ctx); return nil })
	part("rotations", func() error { ac.rotate.Run(ctx); return nil })
	part("schedules", func() error { ac.schedule.Run(ctx); return nil })
	part("other ACs", func() error { return ac.cluster.Run(ctx) })
	part("membership", func() error { return ac.removed(ctx) })
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

func (ac *controller) server(log *slog.Logger, recent *support.Recent) (*server.Server, error) {
	names := serverNames(ac.cfg)
	certificate, err := ac.ca.Server(names)
	if err != nil {
		return nil, err
	}
	all, err := layers.Open(ac.cfg.Layers)
	if err != nil {
		return nil, err
	}
	var srv *server.Server
	ac.rotate = drive.New(drive.Options{
		Grid: ac.cfg.Grid, Name: ac.cfg.Name, Store: ac.store, Seal: ac.seal, CA: ac.ca, Book: ac.registry, Sessions: sessions{&srv},
		Members: ac.members, Log: log,
	})
	ac.events = events.New(events.Options{
		Store: ac.store, Ack: func(id api.NodeID, seq uint64) { srv.AckEvent(id, seq) }, Clock: time.Now, Log: log,
	})
	ac.schedule = schedule.New(schedule.Options{
		Store: ac.store, Jobs: recurring{&srv}, Entry: ac.registry.Entry, Noted: ac.registry.Noted, MayAct: ac.registry.MayAct, Log: log,
	})
	shelf := releases.New(ac.store, filepath.Join(ac.cfg.DataDir, "releases"), ac.registry.Note)
	ac.upgrade = upgrade.New(upgrade.Options{
		Store: ac.store, Book: ac.registry, Sessions: sessions{&srv}, Clock: time.Now, ID: rand.Text, Log: log,
		Release: func(ctx context.Context, sum string) (api.Release, error) {
			k, err := shelf.Known(ctx, sum)
			return k.Release, err
		},
	})
	srv = server.New(server.Options{
		Releases: shelf, Upgrades: ac.upgrade,
		Grid: ac.cfg.Grid, Name: ac.cfg.Name, Version: version.Version(),
		Cluster: ac.cluster, Peer: ac.peer, Backup: ac.backup, Registry: ac.registry, Jobs: ac.jobs, Trust: trust{ac.ca, names}, Certificate: certificate,
		Faults: fault.NewSet(ac.cfg.Faults), Layer: all.Find, Failed: failed,
		Metrics: ac.metrics, Support: ac.support(recent), Rotations: ac.rotate, Schedules: ac.schedule, Events: ac.events, Log: log,
	})
	return srv, nil
}

// members are the grid's ACs, if they keep their own store: nobody else knows.
func (ac *controller) members(ctx context.Context) (names []string, err error) {
	if len(ac.cfg.Etcd.Endpoints) > 0 {
		return nil, nil
	}
	all, err := ac.cluster.ACs(ctx)
	for _, a := range all {
		names = append(names, a.Name)
	}
	return names, err
}

// sessions are those of a server that is made after who asks for them.
type sessions struct{ srv **server.Server }

func (s sessions) Online(id api.NodeID) bool          { return (*s.srv).Online(id) }
func (s sessions) Rotate(id api.NodeID, r api.Rotate) { (*s.srv).Rotate(id, r) }

func (s sessions) Ask(ctx context.Context, id api.NodeID, job string, req api.ExecRequest) (api.JobRun, error) {
	return (*s.srv).Ask(ctx, id, job, req)
}

// fallback holds 10.254.254.254. Where other ACs may be on the link too, it is
// held in turn, and the kernel is to remove it should this AC be killed.
func (ac *controller) fallback(srv *server.Server, l net.Listener, log *slog.Logger) *fallback.Holder {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	addr := net.JoinHostPort(api.FallbackAddress, port)
	o := fallback.Options{
		Listen: func(device string) (net.Listener, error) { return server.ListenOn(context.Background(), device, addr) },
		Serve:  srv.Serve,
		Log:    log,
	}
	segments := map[string]string{}
	for _, f := range ac.cfg.Fallback {
		o.Interfaces, segments[f.Interface] = append(o.Interfaces, f.Interface), f.Segment
	}
	if ac.cfg.Etcd.PeerURL != "" || len(ac.cfg.Etcd.Endpoints) > 0 {
		o.Held = func(device string) bool { return ac.cluster.Held(segments[device]) }
		o.Heard = func(device string) bool { return ac.cluster.Heard(segments[device]) }
		o.Changed, o.Lifetime = ac.cluster.Turns(), heldWithoutUs
	}
	return fallback.New(o)
}

// heldWithoutUs is how long 10.254.254.254 outlives an AC that is killed: about
// as long as its lease.
const heldWithoutUs = 5 * time.Second

// support is what a support bundle has of this program. The configuration names
// the files of secrets and holds none.
func (ac *controller) support(recent *support.Recent) []support.Part {
	return []support.Part{
		support.JSON("config.json", func(context.Context) (any, error) { return ac.cfg, nil }),
		recent.Part("log.txt"),
	}
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
