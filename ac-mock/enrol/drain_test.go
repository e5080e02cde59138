package enrol

import (
	"errors"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

func TestDrain(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	before := &Shown{By: "ann", At: now.Add(-time.Hour).UTC()}
	for _, c := range []struct {
		state   api.NodeState
		has     *Shown
		drained bool
		want    *Shown
		err     error
	}{
		{api.NodeEnrolled, nil, true, &Shown{By: "bob", At: now.UTC()}, nil},
		{api.NodeEnrolled, before, true, before, nil}, // who was first, and since when
		{api.NodeEnrolled, before, false, nil, nil},
		{api.NodeEnrolled, nil, false, nil, nil},
		{api.NodePending, nil, true, &Shown{By: "bob", At: now.UTC()}, nil},
		{api.NodeQuarantined, before, false, nil, nil},
		{api.NodeRetired, nil, true, nil, ErrState},
	} {
		old := Record{ID: "020000000001", State: c.state, Drained: c.has}
		r, err := Drain(old, "bob", c.drained, now)
		same := r.Drained == nil && c.want == nil || r.Drained != nil && c.want != nil && *r.Drained == *c.want
		if !errors.Is(err, c.err) || !same || old.Drained != c.has || r.State != c.state {
			t.Errorf("%s, drained %v, to %v: %v, %v; want %v, %v", c.state, c.has, c.drained, r.Drained, err, c.want, c.err)
		}
	}
}
