package client

import (
	"context"
	"net/http"
	"strings"

	"github.com/g8os/g8os/core/api"
)

// Rotations lists the last rotation of each kind that has had one.
func (c *Client) Rotations(ctx context.Context) ([]api.Rotation, error) {
	var list []api.Rotation
	return list, c.call(ctx, http.MethodGet, api.PathRotations, nil, &list)
}

// Rotate begins a rotation.
func (c *Client) Rotate(ctx context.Context, q api.RotateRequest) (api.Rotation, error) {
	var begun api.Rotation
	return begun, c.call(ctx, http.MethodPost, api.PathRotations, q, &begun)
}

// PauseRotation has a rotation ask nobody any more; ResumeRotation undoes that.
func (c *Client) PauseRotation(ctx context.Context, k api.RotateKind) (api.Rotation, error) {
	return c.setRotation(ctx, k, "pause")
}

// ResumeRotation lets a rotation go on.
func (c *Client) ResumeRotation(ctx context.Context, k api.RotateKind) (api.Rotation, error) {
	return c.setRotation(ctx, k, "resume")
}

func (c *Client) setRotation(ctx context.Context, k api.RotateKind, do string) (api.Rotation, error) {
	var now api.Rotation
	path := strings.NewReplacer("{kind}", string(k), "{do}", do).Replace(api.PathRotation)
	return now, c.call(ctx, http.MethodPost, path, nil, &now)
}
