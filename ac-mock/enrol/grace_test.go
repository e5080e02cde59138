package enrol

import (
	"errors"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

func TestSetGrace(t *testing.T) {
	day := api.Grace{ForMS: (24 * time.Hour).Milliseconds(), Boots: 3}
	for _, c := range []struct {
		state api.NodeState
		g     api.Grace
		want  error
	}{
		{api.NodeEnrolled, day, nil},
		{api.NodeQuarantined, api.Grace{}, nil},
		{api.NodeRetired, day, ErrState},
		{api.NodeEnrolled, api.Grace{ForMS: day.ForMS}, api.ErrGrace},
		{api.NodeEnrolled, api.Grace{Boots: 3}, api.ErrGrace},
		{api.NodeEnrolled, api.Grace{ForMS: -1, Boots: 3}, api.ErrGrace},
		{api.NodeEnrolled, api.Grace{ForMS: day.ForMS * 31, Boots: 3}, api.ErrGrace},
		{api.NodeEnrolled, api.Grace{ForMS: day.ForMS, Boots: 101}, api.ErrGrace},
	} {
		r, err := SetGrace(Record{ID: "020000000001", State: c.state}, c.g)
		if !errors.Is(err, c.want) || err == nil && r.Grace != c.g || err != nil && r.Grace.On() {
			t.Errorf("%s, %s: %s, %v", c.state, c.g, r.Grace, err)
		}
	}
}

// Who is retired or shut out keeps no right to unlock alone; released it has what
// it had.
func TestGraceEndsWithTheNode(t *testing.T) {
	g := api.Grace{ForMS: time.Hour.Milliseconds(), Boots: 1}
	r, _ := Retire(Record{ID: "020000000001", State: api.NodeEnrolled, Grace: g})
	if r.Grace.On() {
		t.Error("a retired node has a grace")
	}
	q, err := Quarantine(Record{ID: "020000000001", State: api.NodeEnrolled, Grace: g}, "a test")
	if err != nil || q.Allowed().On() {
		t.Errorf("a quarantined node has a grace, %v", err)
	}
	if q, err = Release(q); err != nil || q.Allowed() != g {
		t.Errorf("released it has %s, %v", q.Allowed(), err)
	}
}
