package main

import (
	"errors"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

// What is wrong with a schedule is said when it is added, and nothing is kept.
func TestBadSchedules(t *testing.T) {
	path, addr := folder(t, small), freeAddr(t)
	end := begin(t, path, addr)
	defer end()
	c, err := client.Load(filepath.Join(filepath.Dir(path), "keys", "operators", "admin.toml"))
	if err != nil {
		t.Fatal(err)
	}
	c.AC = []string{"https://" + addr}
	op, err := client.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer op.Close()
	good := api.Schedule{Cron: "@daily", Request: api.JobRequest{To: api.Address{All: true}, Exec: api.ExecRequest{Argv: []string{"true"}}}}
	for what, bad := range map[string]struct {
		change func(*api.Schedule)
		status int
	}{
		"no node is enrolled": {func(*api.Schedule) {}, http.StatusNotFound},
		"no such role":        {func(s *api.Schedule) { s.Request.To = api.Address{Roles: []string{"web"}} }, http.StatusNotFound},
		"nobody is meant":     {func(s *api.Schedule) { s.Request.To = api.Address{} }, http.StatusBadRequest},
		"no cron":             {func(s *api.Schedule) { s.Cron = "daily" }, http.StatusBadRequest},
		"nothing to run":      {func(s *api.Schedule) { s.Request.Exec = api.ExecRequest{} }, http.StatusBadRequest},
		"no name":             {func(s *api.Schedule) { s.Name = "Ä" }, http.StatusBadRequest},
	} {
		s := good
		bad.change(&s)
		_, err := op.AddSchedule(t.Context(), s)
		if f := (*client.Failure)(nil); !errors.As(err, &f) || f.Status != bad.status || f.Remedy == "" {
			t.Errorf("%s: %v (%+v)", what, err, f)
		}
	}
	_, err = op.RemoveSchedule(t.Context(), "none")
	if f := (*client.Failure)(nil); !errors.As(err, &f) || f.Status != http.StatusNotFound {
		t.Errorf("to remove one that there is not: %v", err)
	}
	if list, err := op.Schedules(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("kept: %v, %v", list, err)
	}
}
