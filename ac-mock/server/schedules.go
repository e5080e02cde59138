package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs"
	"github.com/g8os/g8os/ac-mock/jobs/schedule/due"
	"github.com/g8os/g8os/core/api"
)

// Schedules are the jobs that recur (ac-mock/jobs/schedule).
type Schedules interface {
	List() []api.Schedule
	Add(ctx context.Context, actor string, s api.Schedule) (api.Schedule, error)
	Remove(ctx context.Context, actor, name string) (api.Schedule, error)
}

// schedules lists them; who may not make any does not see what a command is
// given, for that may be secret.
func (s *Server) schedules(w http.ResponseWriter, r *http.Request) {
	list := s.opt.Schedules.List()
	if s.levelOf(r) < operator {
		for i := range list {
			list[i].Request.Exec = nameOnly(list[i].Request.Exec)
		}
	}
	reply(w, http.StatusOK, list)
}

// nameOnly is a command without what it is given.
func nameOnly(e api.ExecRequest) api.ExecRequest {
	short := api.ExecRequest{Argv: e.Argv[:min(len(e.Argv), 1)], Builtin: e.Builtin, Dir: e.Dir, User: e.User, TimeoutMS: e.TimeoutMS}
	if len(e.Script) > 0 {
		short.Argv, short.Script = nil, []byte("#!")
	}
	return short
}

func (s *Server) addSchedule(w http.ResponseWriter, r *http.Request) {
	var q api.Schedule
	if err := readUpTo(w, r, maxJobBody, &q); err != nil {
		fail(w, http.StatusBadRequest, "send what the documentation of core/api says", err)
		return
	}
	answered(s, func(ctx context.Context, actor string, _ *http.Request) (api.Schedule, error) {
		return s.opt.Schedules.Add(ctx, actor, q)
	})(w, r)
}

func (s *Server) removeSchedule(w http.ResponseWriter, r *http.Request) {
	answered(s, func(ctx context.Context, actor string, r *http.Request) (api.Schedule, error) {
		return s.opt.Schedules.Remove(ctx, actor, r.PathValue("name"))
	})(w, r)
}

// Recurring makes the jobs of schedules (schedule.Jobs).
type Recurring struct{ *Server }

// Check says what is wrong with a job that is to recur, or nil. Errors wrap
// due.ErrInput, or are of Registry.
func (s Recurring) Check(ctx context.Context, req api.JobRequest) error {
	req.ID = jobs.NewID()
	if err := checkJob(req); err != nil {
		return fmt.Errorf("%w: %w", due.ErrInput, err)
	}
	_, err := s.opt.Registry.Resolve(ctx, req.To)
	return err
}

// Make makes the job of a tick, for whoever is meant now. Nodes that are away are
// in it too, so that it is there to be seen, as is that they were.
func (s Recurring) Make(ctx context.Context, by string, req api.JobRequest) error {
	nodes, err := s.opt.Registry.Resolve(ctx, req.To)
	if err != nil {
		return err
	}
	o := jobs.Order{Request: req, By: by, Nodes: nodes}
	if req.TTLMS == 0 && !s.opt.Jobs.Has(req.ID) {
		o.Refused = s.away(ctx, nodes)
		s.drained(&o)
	}
	_, err = s.opt.Jobs.Make(ctx, o)
	return err
}

// justMade is how long a job that has begun nowhere counts as running: a node
// that is away does not hold up the others.
const justMade = time.Minute

// Runs says whether a job is running on a node, or is about to.
func (s Recurring) Runs(_ context.Context, id string) (bool, error) {
	j, err := s.opt.Jobs.Job(id)
	if errors.Is(err, jobs.ErrUnknown) {
		return false, nil
	}
	return j.Counts[api.JobRunning] > 0 || j.Counts[api.JobQueued] > 0 && s.opt.Clock().Sub(j.Created) < justMade, err
}

// noSchedules is an AC that keeps none.
type noSchedules struct{}

var errNoSchedules = errors.New("this AC keeps no schedules")

func (noSchedules) List() []api.Schedule { return []api.Schedule{} }

func (noSchedules) Add(context.Context, string, api.Schedule) (api.Schedule, error) {
	return api.Schedule{}, errNoSchedules
}

func (noSchedules) Remove(context.Context, string, string) (api.Schedule, error) {
	return api.Schedule{}, errNoSchedules
}
