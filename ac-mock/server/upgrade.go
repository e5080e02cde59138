package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/g8os/g8os/ac-mock/jobs"
	"github.com/g8os/g8os/core/api"
)

// Upgrades is what the server asks of upgrades (ac-mock/upgrade).
type Upgrades interface {
	Start(ctx context.Context, actor string, q api.UpgradeRequest) (api.Upgrade, error)
	Set(ctx context.Context, actor, do string) (api.Upgrade, error) // pause, resume or halt
	Status(ctx context.Context) (api.Upgrade, error)
}

// noUpgrades is an AC that upgrades nobody.
type noUpgrades struct{}

var errNoUpgrades = errors.New("this AC was started without upgrades")

func (noUpgrades) Start(context.Context, string, api.UpgradeRequest) (u api.Upgrade, err error) {
	return u, errNoUpgrades
}

func (noUpgrades) Set(context.Context, string, string) (u api.Upgrade, err error) {
	return u, errNoUpgrades
}

func (noUpgrades) Status(context.Context) (u api.Upgrade, err error) { return u, errNoUpgrades }

func (s *Server) upgrade() http.HandlerFunc {
	return answered(s, func(ctx context.Context, _ string, _ *http.Request) (api.Upgrade, error) {
		return s.opt.Upgrades.Status(ctx)
	})
}

func (s *Server) setUpgrade() http.HandlerFunc {
	return answered(s, func(ctx context.Context, actor string, r *http.Request) (api.Upgrade, error) {
		return s.opt.Upgrades.Set(ctx, actor, r.PathValue("do"))
	})
}

// Ask has a node do a job, in the name of this AC, and returns how it has ended.
// The job is durable: it goes on without whoever asks.
func (s *Server) Ask(ctx context.Context, id api.NodeID, job string, req api.ExecRequest) (end api.JobRun, err error) {
	n, err := s.opt.Registry.Node(ctx, string(id))
	if err != nil {
		return end, err
	}
	o := jobs.Order{Request: api.JobRequest{ID: job, To: api.Address{Nodes: []string{string(id)}}, Exec: req}, By: "ac:" + s.opt.Name, Nodes: []api.Node{n}}
	if _, err := s.opt.Jobs.Make(ctx, o); err != nil {
		return end, err
	}
	if err := s.opt.Jobs.Follow(ctx, job, "", true, func(api.JobEvent) error { return nil }, nil); err != nil {
		return end, fmt.Errorf("job %s: %w", job, err)
	}
	j, err := s.opt.Jobs.Job(job)
	if err != nil {
		return end, err
	}
	return j.Runs[0], nil
}
