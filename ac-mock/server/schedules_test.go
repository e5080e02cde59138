package server

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

// kept are schedules as a book would have them.
type kept struct{ list []api.Schedule }

func (k *kept) List() []api.Schedule { return append([]api.Schedule{}, k.list...) }

func (k *kept) Add(_ context.Context, actor string, s api.Schedule) (api.Schedule, error) {
	s.By = actor
	k.list = append(k.list, s)
	return s, nil
}

func (k *kept) Remove(context.Context, string, string) (api.Schedule, error) {
	return api.Schedule{}, errUnknown
}

// Who may make schedules sees all of them; who may not sees no arguments and no
// scripts, and that is not how they are kept.
func TestViewersSeeNoArguments(t *testing.T) {
	k := &kept{}
	r := newRig(t, func(o *Options) { o.Schedules = k })
	op, viewer := r.operator("operator.oz"), r.operator("viewer.vic")
	for _, e := range []api.ExecRequest{{Argv: []string{"login", "secret"}, Env: map[string]string{"PASS": "secret"}}, {Script: []byte("#!/bin/sh\nsecret\n"), Argv: []string{"secret"}}} {
		made, err := op.AddSchedule(t.Context(), api.Schedule{Name: "x", Cron: "@daily", Request: api.JobRequest{Exec: e}})
		if err != nil || made.By != "spiffe://"+grid+"/operator/operator.oz" {
			t.Fatalf("%+v, %v", made, err)
		}
	}
	list, err := viewer.Schedules(t.Context())
	must(t, err)
	for _, s := range list {
		if e := s.Request.Exec; len(e.Argv) > 1 || len(e.Env) > 0 || len(e.Script) > 2 {
			t.Errorf("a viewer sees %+v", e)
		}
	}
	list, err = op.Schedules(t.Context())
	must(t, err)
	if len(list) != 2 || len(list[0].Request.Exec.Argv) != 2 || len(list[1].Request.Exec.Script) == 0 {
		t.Errorf("an operator sees %+v", list)
	}
	_, err = op.RemoveSchedule(t.Context(), "y")
	if f := (*client.Failure)(nil); !errors.As(err, &f) || f.Status != http.StatusNotFound {
		t.Errorf("to remove one that there is not: %v", err)
	}
}
