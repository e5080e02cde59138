package client

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/g8os/g8os/core/api"
)

// ACs lists the ACs of the grid, by name.
func (c *Client) ACs(ctx context.Context) ([]api.AC, error) {
	var list []api.AC
	return list, c.call(ctx, http.MethodGet, api.PathACs, nil, &list)
}

// AddAC lets one more AC in; it has to be started then, to join.
func (c *Client) AddAC(ctx context.Context, n api.NewAC) (api.AC, error) {
	var ac api.AC
	return ac, c.call(ctx, http.MethodPost, api.PathACs, n, &ac)
}

// RemoveAC takes an AC out for good, and returns those that are left.
func (c *Client) RemoveAC(ctx context.Context, name string) ([]api.AC, error) {
	var list []api.AC
	return list, c.call(ctx, http.MethodDelete, acPath(api.PathAC, name), nil, &list)
}

// DrainAC sends an AC's nodes to the others, or ends that.
func (c *Client) DrainAC(ctx context.Context, name string, drain bool) (api.AC, error) {
	method := http.MethodPost
	if !drain {
		method = http.MethodDelete
	}
	var ac api.AC
	return ac, c.call(ctx, method, acPath(api.PathACDrain, name), nil, &ac)
}

func acPath(path, name string) string {
	return strings.Replace(path, "{name}", url.PathEscape(name), 1)
}
