package server

import (
	"context"
	"fmt"
	"net/http"

	"github.com/g8os/g8os/core/api"
)

// Rotations is what the server asks of rotations (ac-mock/rotate/drive).
type Rotations interface {
	Start(ctx context.Context, actor string, r api.RotateRequest) (api.Rotation, error)
	Pause(ctx context.Context, actor string, k api.RotateKind) (api.Rotation, error)
	Resume(ctx context.Context, actor string, k api.RotateKind) (api.Rotation, error)
	Status(ctx context.Context) ([]api.Rotation, error)
	Answered(id api.NodeID, a api.Rotate) // it does not block
}

// none is an AC that rotates nothing.
type none struct{}

func (none) Start(context.Context, string, api.RotateRequest) (api.Rotation, error) {
	return api.Rotation{}, errNoRotations
}

func (none) Pause(context.Context, string, api.RotateKind) (api.Rotation, error) {
	return api.Rotation{}, errNoRotations
}

func (none) Resume(context.Context, string, api.RotateKind) (api.Rotation, error) {
	return api.Rotation{}, errNoRotations
}

func (none) Status(context.Context) ([]api.Rotation, error) { return []api.Rotation{}, nil }
func (none) Answered(api.NodeID, api.Rotate)                {}

var errNoRotations = fmt.Errorf("this AC was started without rotations")

func (s *Server) rotations() http.HandlerFunc {
	return answered(s, func(ctx context.Context, _ string, _ *http.Request) ([]api.Rotation, error) {
		return s.opt.Rotations.Status(ctx)
	})
}

func (s *Server) startRotation() http.HandlerFunc { return asked(s, s.opt.Rotations.Start) }

func (s *Server) setRotation(w http.ResponseWriter, r *http.Request) {
	k := api.RotateKind(r.PathValue("kind"))
	do := map[string]func(context.Context, string, api.RotateKind) (api.Rotation, error){
		"pause": s.opt.Rotations.Pause, "resume": s.opt.Rotations.Resume,
	}[r.PathValue("do")]
	if do == nil {
		fail(w, http.StatusNotFound, "it can be paused and resumed", fmt.Errorf("a rotation cannot be told to %.40q", r.PathValue("do")))
		return
	}
	answered(s, func(ctx context.Context, actor string, _ *http.Request) (api.Rotation, error) {
		return do(ctx, actor, k)
	})(w, r)
}

// Online says whether a node has a session here.
func (s *Server) Online(id api.NodeID) bool { return s.hub.Online(id) }

// Rotate asks a node to replace a key, if it has a session here.
func (s *Server) Rotate(id api.NodeID, r api.Rotate) { s.hub.Rotate(id, r) }
