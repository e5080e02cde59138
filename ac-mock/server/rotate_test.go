package server

import (
	"context"
	"testing"

	"github.com/g8os/g8os/core/api"
)

// turns is rotations that only take answers.
type turns struct {
	none
	answers chan nodeAnswer
}

type nodeAnswer struct {
	node api.NodeID
	api.Rotate
}

func (t turns) Answered(id api.NodeID, a api.Rotate) { t.answers <- nodeAnswer{id, a} }

func (turns) Start(_ context.Context, actor string, q api.RotateRequest) (api.Rotation, error) {
	return api.Rotation{ID: "r1", Kind: q.Kind, By: actor}, nil
}

// A node is asked over its session, and its answer is its own, whatever it says;
// who has no session is not asked.
func TestRotationGoesOverTheSession(t *testing.T) {
	rotations := turns{answers: make(chan nodeAnswer, 1)}
	r := newRig(t, func(o *Options) { o.Rotations = rotations })
	n := newNode(r, 1)
	s := n.session(n.climb())
	s.heartbeat(1, "managed")
	r.srv.Rotate("020000000099", api.Rotate{ID: "r1", Kind: api.RotateSSH})
	r.srv.Rotate(n.id, api.Rotate{ID: "r1", Kind: api.RotateUnlock, Generation: 2})
	f := s.want(api.FrameRotate)
	if f.Rotate == nil || f.Rotate.ID != "r1" || f.Rotate.Generation != 2 {
		t.Fatalf("asked: %+v", f.Rotate)
	}
	f.Rotate.Done = true
	s.send(f)
	if a := <-rotations.answers; a.node != n.id || !a.Done || a.ID != "r1" {
		t.Errorf("answered: %+v", a)
	}
}

func TestOperatorsBeginRotations(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Rotations = turns{} })
	began, err := r.operator("admin.ann").Rotate(t.Context(), api.RotateRequest{Kind: api.RotateCA})
	if err != nil || began.Kind != api.RotateCA || began.By != "spiffe://test.grid/operator/admin.ann" {
		t.Errorf("%+v, %v", began, err)
	}
	if _, err := r.operator("operator.oz").Rotate(t.Context(), api.RotateRequest{Kind: api.RotateCA}); err == nil {
		t.Error("an operator may rotate, who is no admin")
	}
	if list, err := r.operator("viewer.vic").Rotations(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
