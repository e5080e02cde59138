package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/g8os/g8os/ac-mock/fault"
	"github.com/g8os/g8os/ac-mock/hub"
	"github.com/g8os/g8os/ac-mock/hub/dispatch"
	"github.com/g8os/g8os/ac-mock/jobs"
	"github.com/g8os/g8os/ac-mock/measured"
	"github.com/g8os/g8os/ac-mock/metrics"
	"github.com/g8os/g8os/ac-mock/support"
	"github.com/g8os/g8os/core/api"
)

// Registry is what the server asks of the book of nodes (ac-mock/registry).
type Registry interface {
	Unlock(ctx context.Context, peer string, device []byte, c api.Claim) (api.Unlocked, error)
	Confirm(ctx context.Context, peer string, device []byte, c api.Confirm) error
	Certificate(ctx context.Context, peer string, device []byte, c api.CSR) (api.Issued, error)
	BadProof(ctx context.Context, peer string, device []byte, why error)
	Admit(id api.NodeID, cert *x509.Certificate) error // to open a session
	Holds(id api.NodeID, cert *x509.Certificate) error // to have one that is open
	Seen(id api.NodeID, w api.Whereabouts, online bool)
	Settings(id api.NodeID) api.Settings
	Revoked() <-chan api.NodeID
	Resettled() <-chan api.NodeID // whose Settings are others now

	Nodes(ctx context.Context) ([]api.Node, error)
	Node(ctx context.Context, ref string) (api.Node, error)
	Watch(ctx context.Context) <-chan struct{}
	Approve(ctx context.Context, actor, ref string) (api.Node, error)
	Retire(ctx context.Context, actor, ref string) (api.Node, error)
	Quarantine(ctx context.Context, actor, ref, why string) (api.Node, error)
	Suspect(ctx context.Context, actor, ref, why string) (api.Node, error)
	Release(ctx context.Context, actor, ref string) (api.Node, error)
	SetGrace(ctx context.Context, actor, ref string, g api.Grace) (api.Node, error)
	ChangeRoles(ctx context.Context, actor, ref string, q api.RolesRequest) (api.Node, error)
	Revoke(ctx context.Context, actor, ref string) (api.Node, error)
	Drain(ctx context.Context, actor, ref string) (api.Node, error)
	Undrain(ctx context.Context, actor, ref string) (api.Node, error)
	TakesJobs(id api.NodeID) error // why no new job may be begun on a node
	Audit(ctx context.Context, ref string, after uint64, limit int) ([]api.AuditEntry, error)
	Note(ctx context.Context, actor, action string, node api.NodeID, detail string) error
	Ready(ctx context.Context) error
	Resolve(ctx context.Context, a api.Address) ([]api.Node, error)
	Trustees
}

// Trust says whose certificates count. Its methods are called in handshakes:
// they must not block.
type Trust interface {
	ClientCAs() *x509.CertPool
	Denied(cert *x509.Certificate) error
	Changed() <-chan struct{} // closed when it has changed
	// Expired makes a certificate of this AC for a time that is over.
	Expired(notBefore, notAfter time.Time) (*tls.Certificate, error)
}

// Options of a Server. What is not said to have a default must be set.
type Options struct {
	Grid, Name, Version string

	Registry    Registry
	Jobs        *jobs.Queue
	Trust       Trust
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Faults      *fault.Set
	// Layer opens a layer of the operating system by its SHA-256; nil: there are none.
	Layer func(sum string) (*os.File, error)
	// Failed says which errors of Registry are the caller's: unknown node,
	// state that does not allow it. The text of those reaches operators.
	Failed func(error) (status int, remedy string, ok bool)

	// Metrics counts what happens; default: metrics of its own. Each set is for
	// one Server.
	Metrics *metrics.Metrics
	// Support are further parts of a support bundle. There must be no secret in them.
	Support []support.Part

	// Cluster are the other ACs; nil: there are none. Peer asks them as this AC.
	Cluster Cluster
	Peer    *http.Client
	// Backup writes the store, sealed, and says how many keys it has; nil: it cannot be had here.
	Backup func(ctx context.Context, w io.Writer) (keys int, err error)

	Rotations Rotations // default: there are none
	Schedules Schedules // default: there are none
	Events    Events    // default: those of nodes are not taken
	Releases  Releases  // of g8os_core; default: there are none
	Upgrades  Upgrades  // default: this AC upgrades nobody

	Limits Limits              // default DefaultLimits
	Timing dispatch.Timing     // default dispatch.DefaultTiming
	Spare  func(net.Conn) bool // default OwnMachine
	Clock  func() time.Time    // default time.Now
	Log    *slog.Logger
}

// Server is an AC's port. Its methods may be called concurrently.
type Server struct {
	opt  Options
	hub  *hub.Hub
	gate *gate
	last *measured.Table // what nodes measured
	http *http.Server

	channels channels
	deciding chan struct{}   // one token for each request that waits for the registry
	life     context.Context // until Run is told to stop
	end      context.CancelFunc
	bringing sync.Mutex // held while a release is brought from another AC
}

// New makes a Server that listens nowhere yet. Run has to be called too.
func New(o Options) *Server {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits
	}
	if o.Spare == nil {
		o.Spare = OwnMachine
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rotations == nil {
		o.Rotations = none{}
	}
	if o.Schedules == nil {
		o.Schedules = noSchedules{}
	}
	if o.Releases == nil {
		o.Releases = noReleases{}
	}
	if o.Upgrades == nil {
		o.Upgrades = noUpgrades{}
	}
	if o.Metrics == nil {
		o.Metrics = metrics.New(o.Grid, o.Name, o.Version)
	}
	s := &Server{opt: o, deciding: make(chan struct{}, max(1, o.Limits.Deciding)), last: measured.New(o.Clock)}
	s.life, s.end = context.WithCancel(context.Background())
	s.hub = hub.New(hub.Options{
		Liveness: liveness{s}, Jobs: o.Jobs, Settings: o.Registry.Settings, Rotated: o.Rotations.Answered, Measured: s.last.Take, Event: s.takeEvent(), Faults: o.Faults, Timing: o.Timing, Clock: o.Clock, Metrics: o.Metrics, Log: o.Log,
	})
	s.gate = newGate(o.Limits, s.tlsConfig(), s.faulty, o.Metrics, o.Log)
	s.gauges()
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: o.Limits.Header,
		ReadTimeout:       o.Limits.Read,
		WriteTimeout:      o.Limits.Write,
		IdleTimeout:       o.Limits.Idle,
		MaxHeaderBytes:    o.Limits.HeaderBytes,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1 only: one connection, one nonce
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c.(*tls.Conn).NetConn())
		},
	}
	return s
}

type connKey struct{}

// connOf is the connection that a request came in on.
func connOf(r *http.Request) *conn { return r.Context().Value(connKey{}).(*conn) }

// Serve takes connections from a listener until it is closed or the server
// stops. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	if err := s.gate.serve(l); !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("listen on %s: %w", l.Addr(), err)
	}
	return nil
}

// Sessions says how many nodes have a session here.
func (s *Server) Sessions() int { return s.hub.Sessions() }

// Run serves until ctx ends, then stops: no new connections, sessions closed,
// requests given a moment to end.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.hub.Run(ctx) })
	wg.Go(func() { s.followRevoked(ctx) })
	wg.Go(func() { s.followSettings(ctx) })
	wg.Go(func() { s.followFaults(ctx) })
	wg.Go(func() { s.followDrain(ctx) })
	wg.Go(func() { s.followGone(ctx) })
	wg.Go(func() {
		<-ctx.Done()
		s.end()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		_ = s.http.Shutdown(stop)
		_ = s.http.Close()
	})
	err := s.http.Serve(s.gate)
	wg.Wait()
	s.gate.closeAll()
	s.channels.close()
	if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serve: %w", err)
}

func (s *Server) followRevoked(ctx context.Context) {
	revoked := s.opt.Registry.Revoked()
	for {
		select {
		case <-ctx.Done():
			return
		case id, ok := <-revoked:
			if !ok {
				return
			}
			s.hub.Revoked(id)
		}
	}
}

// gonePause is the least time between two looks for nodes that are gone.
const gonePause = 200 * time.Millisecond

// followGone ends the jobs of nodes that are no longer let in, and has those that
// are drained or no longer so get none or all of theirs.
func (s *Server) followGone(ctx context.Context) {
	changed := s.opt.Registry.Watch(ctx)
	for {
		s.opt.Jobs.Drain()
		for _, id := range s.opt.Jobs.Busy() {
			n, err := s.opt.Registry.Node(ctx, string(id))
			if err == nil && (n.State == api.NodeRetired || n.State == api.NodeQuarantined) {
				s.opt.Jobs.Gone(id, "the node is "+string(n.State))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(gonePause):
		}
		if _, open := <-changed; !open {
			return
		}
	}
}

// followSettings tells nodes what is decided otherwise for them now.
func (s *Server) followSettings(ctx context.Context) {
	resettled := s.opt.Registry.Resettled()
	before := s.opt.Registry.Settings("").RevokedCAs
	for {
		changed := s.opt.Trust.Changed()
		if now := s.opt.Registry.Settings("").RevokedCAs; !slices.Equal(before, now) {
			before = now
			s.hub.Settle()
		}
		select {
		case <-ctx.Done():
			return
		case id, ok := <-resettled:
			if !ok {
				return
			}
			s.hub.Settle(id)
		case <-changed:
		}
	}
}

// liveness passes on to the registry what the hub sees of nodes.
type liveness struct{ s *Server }

func (l liveness) Seen(id api.NodeID, w api.Whereabouts, online bool) {
	l.s.opt.Registry.Seen(id, w, online)
}

// Clone sends both machines that claim to be one node to pending. The hub waits
// for nothing, so the book is written elsewhere.
func (l liveness) Clone(id api.NodeID, why string) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		actor := api.Identity{Grid: l.s.opt.Grid, Role: api.RoleAC, Name: l.s.opt.Name}.String()
		if _, err := l.s.opt.Registry.Suspect(ctx, actor, string(id), "clone: "+why); err != nil {
			l.s.opt.Log.Error("clone stays enrolled", "node", id, "error", err)
		}
		l.s.hub.Revoked(id)
	}()
}
