package main

import (
	"context"

	"github.com/g8os/g8os/ac-mock/server"
	"github.com/g8os/g8os/core/api"
)

// recurring makes the jobs of schedules at a server that is made after who asks
// for them.
type recurring struct{ srv **server.Server }

func (r recurring) Check(ctx context.Context, q api.JobRequest) error {
	return server.Recurring{Server: *r.srv}.Check(ctx, q)
}

func (r recurring) Make(ctx context.Context, by string, q api.JobRequest) error {
	return server.Recurring{Server: *r.srv}.Make(ctx, by, q)
}

func (r recurring) Runs(ctx context.Context, id string) (bool, error) {
	return server.Recurring{Server: *r.srv}.Runs(ctx, id)
}
