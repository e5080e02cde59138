package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

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

// Ask has a node do a job, in the name of this AC, and waits for its end.
func (s *Server) Ask(ctx context.Context, id api.NodeID, job string, req api.ExecRequest) (end api.ExecEvent, err error) {
	st, err := s.hub.Exec(id, job, req)
	if err != nil {
		return end, fmt.Errorf("job %s: %w", job, err)
	}
	defer st.Leave(false)
	for {
		done, err := st.Deliver(ctx, func(e api.ExecEvent) error { end = e; return nil })
		if done || err != nil {
			return end, err
		}
	}
}
