package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// level is what an operator may do; each includes those before it.
type level int

const (
	nobody   level = iota
	viewer         // sees
	operator       // approves, runs commands
	admin          // everything
)

var levels = map[string]level{"viewer": viewer, "operator": operator, "admin": admin}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	node := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, s.measured(pattern, s.misbehave(h))) }
	node("GET "+api.PathHello, s.hello)
	node("POST "+api.PathChallenge, s.challenge)
	node("POST "+api.PathUnlock, s.bounded(s.unlock))
	node("POST "+api.PathConfirm, s.bounded(s.confirm))
	node("POST "+api.PathCertificate, s.bounded(s.certify))
	node("GET "+api.PathSession, s.session)
	node("GET "+api.PathLayer, s.layer)

	// A browser shows its operator's certificate to whatever page asks: only
	// our own pages may change something.
	own := http.NewCrossOriginProtection()
	for _, r := range s.operatorRoutes() {
		mux.Handle(r.pattern, s.measured(r.pattern, own.Handler(s.require(r.least, r.handle))))
	}

	for pattern, h := range s.peerRoutes() {
		mux.Handle(pattern, s.measured(pattern, s.requireAC(h)))
	}
	mux.HandleFunc("GET "+api.PathHealth, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]bool{"ok": true})
	})
	mux.HandleFunc("GET "+api.PathReady, s.ready)
	return mux
}

// route is a path of operators, and the least level that may use it.
type route struct {
	pattern string
	least   level
	handle  http.HandlerFunc
}

// operatorRoutes are all paths that ask for an operator's certificate: a path
// that is not here is nobody's.
func (s *Server) operatorRoutes() []route {
	r := s.opt.Registry
	return []route{
		{"GET " + api.PathNodes, viewer, s.nodes},
		{"GET " + api.PathNode, viewer, s.node},
		{"GET " + api.PathAudit, viewer, s.audit},
		{"GET " + api.PathAuditChain, viewer, s.auditChain},
		{"GET " + api.PathTokens, viewer, s.tokens},
		{"POST " + api.PathTokens, operator, s.createToken},
		{"DELETE " + api.PathToken, operator, s.revokeToken},
		{"GET " + api.PathOperators, viewer, s.operators},
		{"POST " + api.PathOperators, admin, s.addOperator},
		{"DELETE " + api.PathOperator, admin, s.revokeOperator},
		{"POST " + api.PathRecovery, admin, s.recovery},
		{"GET " + api.PathFaults, viewer, s.faults},
		{"GET " + api.PathMetrics, viewer, s.metrics},
		{"GET " + api.PathNodeMetrics, viewer, s.nodeMetrics},
		{"GET " + api.PathEvents, viewer, s.events},
		{"GET " + api.PathSupport, admin, s.support},
		{"POST " + api.PathApprove, operator, s.change(r.Approve)},
		{"POST " + api.PathNodeRoles, operator, s.roles},
		{"POST " + api.PathGrace, admin, s.setGrace},
		{"DELETE " + api.PathGrace, admin, s.change(func(ctx context.Context, actor, ref string) (api.Node, error) {
			return r.SetGrace(ctx, actor, ref, api.Grace{})
		})},
		{"GET " + api.PathChannel, operator, s.channel},
		{"GET " + api.PathJobs, viewer, s.listJobs},
		{"POST " + api.PathJobs, viewer, s.makeJob}, // of viewers it takes what only reads
		{"GET " + api.PathJob, viewer, s.job},
		{"GET " + api.PathJobEvents, viewer, s.jobEvents},
		{"POST " + api.PathJobCancel, operator, s.cancelJob},
		{"POST " + api.PathJobRetry, operator, s.retryJob},
		{"GET " + api.PathSchedules, viewer, s.schedules},
		{"POST " + api.PathSchedules, operator, s.addSchedule},
		{"DELETE " + api.PathSchedule, operator, s.removeSchedule},
		{"POST " + api.PathNodeDrain, operator, s.drain(r.Drain)},
		{"DELETE " + api.PathNodeDrain, operator, s.drain(r.Undrain)},
		{"POST " + api.PathReleases, admin, asked(s, s.opt.Releases.Add)},
		{"PUT " + api.PathReleaseSum, admin, s.receiveRelease},
		{"GET " + api.PathReleaseSum, viewer, s.sendRelease},
		{"GET " + api.PathUpgrade, viewer, s.upgrade()},
		{"POST " + api.PathUpgrade, admin, asked(s, s.opt.Upgrades.Start)},
		{"POST " + api.PathUpgradeDo, admin, s.setUpgrade()},
		{"POST " + api.PathRetire, admin, s.change(r.Retire)},
		{"POST " + api.PathQuarantine, admin, s.change(s.quarantine)},
		{"POST " + api.PathRelease, admin, s.change(r.Release)},
		{"POST " + api.PathFaults, admin, s.arm},
		{"DELETE " + api.PathFaults, admin, s.clear},
		{"GET " + api.PathRotations, viewer, s.rotations()},
		{"POST " + api.PathRotations, admin, s.startRotation()},
		{"POST " + api.PathRotation, admin, s.setRotation},
		{"GET " + api.PathBackup, admin, s.backup},
		{"GET " + api.PathACs, viewer, s.acs},
		{"POST " + api.PathACs, admin, s.addAC},
		{"DELETE " + api.PathAC, admin, s.removeAC()},
		{"POST " + api.PathACDrain, admin, s.drainAC("ac drain", true)},
		{"DELETE " + api.PathACDrain, admin, s.drainAC("ac undrain", false)},
	}
}

// ready says whether the AC can decide: its data can be read.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := s.opt.Registry.Ready(ctx); err != nil {
		s.opt.Log.Warn("not ready", "error", err)
		fail(w, http.StatusServiceUnavailable, "see the AC's log", errors.New("the AC cannot read its data"))
		return
	}
	reply(w, http.StatusOK, map[string]bool{"ok": true})
}

// void says why the certificate of a request no longer counts, or nil. The
// handshake has asked that too, but a connection can stand for long.
func (s *Server) void(r *http.Request) error {
	cert := r.TLS.PeerCertificates[0]
	if now := s.opt.Clock(); now.After(cert.NotAfter) {
		return fmt.Errorf("it ran out at %s", cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return s.opt.Trust.Denied(cert)
}

// require lets a request through if its certificate is an operator's of at
// least a level.
func (s *Server) require(least level, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _, ok := s.caller(r)
		name, _, _ := strings.Cut(id.Name, ".")
		switch has := levels[name]; {
		case !ok || id.Role != api.RoleOperator || has == nobody:
			fail(w, http.StatusUnauthorized, "use a context with an operator's certificate (g8os --context)",
				errors.New("this is for operators, and the request came without an operator's certificate"))
		case s.void(r) != nil:
			fail(w, http.StatusUnauthorized, "get a new certificate from an admin",
				fmt.Errorf("the certificate %s does not count any more: %w", id, s.void(r)))
		case has < least:
			fail(w, http.StatusForbidden, "ask an operator with a higher level",
				errors.New("the certificate "+id.String()+" is not of a level that may do this"))
		default:
			ctx, end := s.whileGood(r)
			defer end()
			h(w, r.WithContext(ctx))
		}
	})
}

// lookEvery is how often the certificate of a request that lasts is looked at.
const lookEvery = 500 * time.Millisecond

// whileGood ends a request that lasts when its certificate does not count any
// more: who is revoked sees nothing more, and what he runs is stopped.
func (s *Server) whileGood(r *http.Request) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(r.Context())
	go func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := s.void(r); err != nil {
				cancel(fmt.Errorf("%w: %w", errVoid, err))
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// errVoid is why a request ended whose certificate does not count any more.
var errVoid = errors.New("the operator's certificate does not count any more")
