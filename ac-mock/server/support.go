package server

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/g8os/g8os/ac-mock/support"
)

const (
	supportWithin = 2 * time.Minute // for the whole bundle
	supportAudit  = 2000            // newest entries of the audit log
)

// support sends a support bundle. It is for admins: it holds no secret, but all
// that the AC knows of its nodes.
func (s *Server) support(w http.ResponseWriter, r *http.Request) {
	now := s.opt.Clock()
	actor, _, _ := s.caller(r)
	if err := s.opt.Registry.Note(r.Context(), actor.String(), "support-bundle", "", ""); err != nil {
		s.opt.Log.Error("support bundle not audited", "error", err) // it is wanted most when nothing can be written
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(supportWithin))
	ctx, cancel := context.WithTimeout(r.Context(), supportWithin)
	defer cancel()
	w.Header().Set("Content-Type", "application/gzip")
	w.Header().Set("Cache-Control", "no-store")
	folder := "g8os-support-" + s.opt.Name + "-" + now.UTC().Format("20060102T150405Z")
	if err := support.Write(ctx, w, folder, now, s.parts()); err != nil {
		s.opt.Log.Warn("support bundle not sent", "error", err)
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
}

// parts are what the server knows, and what it was given.
func (s *Server) parts() []support.Part {
	parts := []support.Part{
		support.JSON("version.json", func(context.Context) (any, error) {
			return map[string]string{
				"grid": s.opt.Grid, "ac": s.opt.Name, "version": s.opt.Version, "go": runtime.Version(),
				"platform": runtime.GOOS + "/" + runtime.GOARCH, "time": s.opt.Clock().UTC().Format(time.RFC3339),
			}, nil
		}),
		support.JSON("ready.json", func(ctx context.Context) (any, error) { return true, s.opt.Registry.Ready(ctx) }),
		support.JSON("nodes.json", func(ctx context.Context) (any, error) { return s.opt.Registry.Nodes(ctx) }),
		support.JSON("faults.json", func(context.Context) (any, error) { return s.opt.Faults.List(s.opt.Clock()), nil }),
		support.JSON("rotations.json", func(ctx context.Context) (any, error) { return s.opt.Rotations.Status(ctx) }),
		support.JSON("audit.json", func(ctx context.Context) (any, error) { return s.opt.Registry.Audit(ctx, "", 0, supportAudit) }),
		{Name: "metrics.txt", Write: func(_ context.Context, w io.Writer) error {
			text, err := s.opt.Metrics.Text()
			_, _ = w.Write(text)
			return err
		}},
		// Stacks without arguments: an argument may be a key.
		{Name: "goroutines.txt", Write: func(_ context.Context, w io.Writer) error { return pprof.Lookup("goroutine").WriteTo(w, 1) }},
	}
	if s.opt.Cluster != nil {
		parts = append(parts, support.JSON("acs.json", func(ctx context.Context) (any, error) { return s.opt.Cluster.ACs(ctx) }))
	}
	return append(parts, s.opt.Support...)
}
