package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/g8os/g8os/core/api"
)

// JobsQuery narrows a list of jobs. The zero value means all that are kept.
type JobsQuery struct {
	State api.JobState // of at least one of its nodes
	Node  string       // id, MAC or host name
	Limit int          // at most so many of the newest; 0: no limit
}

// MakeJob has a job made. It is durable when MakeJob returns, and goes on
// whatever becomes of the caller. A request that is repeated with the same id
// makes no second one.
func (c *Client) MakeJob(ctx context.Context, req api.JobRequest) (api.Job, error) {
	var j api.Job
	return j, c.call(ctx, http.MethodPost, api.PathJobs, req, &j)
}

// RunJob has a job made and follows it, as FollowJob does: the first event has
// only its id and a cursor. Unless req.Detached is set, the job is cancelled when
// ctx ends or the connection to the AC is lost.
func (c *Client) RunJob(ctx context.Context, req api.JobRequest, take func(api.JobEvent) error) error {
	if req.ID == "" {
		req.ID = NewJobID()
	}
	return c.events(ctx, http.MethodPost, api.PathJobs+"?follow=1", req, take)
}

// Jobs lists jobs, the newest first, without their runs.
func (c *Client) Jobs(ctx context.Context, o JobsQuery) ([]api.Job, error) {
	q := url.Values{}
	if o.State != "" {
		q.Set("state", string(o.State))
	}
	if o.Node != "" {
		q.Set("node", o.Node)
	}
	if o.Limit > 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	var list []api.Job
	return list, c.call(ctx, http.MethodGet, api.PathJobs+"?"+q.Encode(), nil, &list)
}

// Job is one job, with what became of it on each node.
func (c *Client) Job(ctx context.Context, id string) (api.Job, error) {
	var j api.Job
	return j, c.call(ctx, http.MethodGet, ofJob(api.PathJob, id), nil, &j)
}

// FollowJob hands on what a job says and what becomes of it, from the beginning
// or after a cursor (JobEvent.Cursor, of any AC), until it is over everywhere,
// take returns an error, ctx ends, or the AC is lost (ErrLost): then call it
// again with the last cursor. The last event has Done set. Data of an event is good
// until take returns.
func (c *Client) FollowJob(ctx context.Context, id, cursor string, take func(api.JobEvent) error) error {
	return c.events(ctx, http.MethodGet, ofJob(api.PathJobEvents, id)+"?follow=1&after="+url.QueryEscape(cursor), nil, take)
}

// JobEvents is FollowJob without waiting for what is yet to come.
func (c *Client) JobEvents(ctx context.Context, id, cursor string, take func(api.JobEvent) error) error {
	err := c.events(ctx, http.MethodGet, ofJob(api.PathJobEvents, id)+"?after="+url.QueryEscape(cursor), nil, take)
	if errors.Is(err, io.EOF) { // there is no more yet
		return nil
	}
	return err
}

// CancelJob stops a job on a node, or wherever it has not ended if node is
// empty. What has ended stays as it is.
func (c *Client) CancelJob(ctx context.Context, id, node string) (api.Job, error) {
	var j api.Job
	return j, c.call(ctx, http.MethodPost, ofJob(api.PathJobCancel, id)+"?node="+url.QueryEscape(node), nil, &j)
}

// RetryJob makes a new job out of one that is over, for those nodes on which it
// did not succeed.
func (c *Client) RetryJob(ctx context.Context, id string) (api.Job, error) {
	var j api.Job
	return j, c.call(ctx, http.MethodPost, ofJob(api.PathJobRetry, id), nil, &j)
}

// ofJob puts a job's id into a path.
func ofJob(path, id string) string {
	return strings.Replace(path, "{job}", url.PathEscape(id), 1)
}
