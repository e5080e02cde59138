package client

import (
	"context"
	"net/http"

	"github.com/g8os/g8os/core/api"
)

// Schedules lists the jobs that recur, by name.
func (c *Client) Schedules(ctx context.Context) ([]api.Schedule, error) {
	var list []api.Schedule
	return list, c.call(ctx, http.MethodGet, api.PathSchedules, nil, &list)
}

// AddSchedule makes a job recur.
func (c *Client) AddSchedule(ctx context.Context, s api.Schedule) (api.Schedule, error) {
	var made api.Schedule
	return made, c.call(ctx, http.MethodPost, api.PathSchedules, s, &made)
}

// RemoveSchedule ends a schedule; jobs that it made go on.
func (c *Client) RemoveSchedule(ctx context.Context, name string) (api.Schedule, error) {
	var was api.Schedule
	return was, c.call(ctx, http.MethodDelete, acPath(api.PathSchedule, name), nil, &was)
}
