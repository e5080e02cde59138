package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/g8os/g8os/core/api"
)

// Drain has a node begin no new job.
func (c *Client) Drain(ctx context.Context, ref string) (api.Node, error) {
	return c.node(ctx, http.MethodPost, api.PathNodeDrain, ref)
}

// Undrain undoes Drain.
func (c *Client) Undrain(ctx context.Context, ref string) (api.Node, error) {
	return c.node(ctx, http.MethodDelete, api.PathNodeDrain, ref)
}

// AddRelease makes a signed release known to the ACs; Have says whether the
// one that answered has its file.
func (c *Client) AddRelease(ctx context.Context, r api.Release) (api.Release, error) {
	var known api.Release
	return known, c.call(ctx, http.MethodPost, api.PathReleases, r, &known)
}

// SendRelease brings the file of a release that was added to the first AC that
// takes it.
func (c *Client) SendRelease(ctx context.Context, r api.Release, file io.ReadSeeker) error {
	var failed []error
	path := strings.Replace(api.PathReleaseSum, "{sum}", url.PathEscape(r.Sum), 1)
	for _, base := range c.bases {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, strings.TrimSuffix(base, "/")+path, io.NopCloser(file))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrContext, err)
		}
		req.ContentLength = r.Size
		res, err := c.http.Do(req)
		if err == nil {
			if err := failure(res); err != nil {
				return err
			}
			return res.Body.Close()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed = append(failed, err)
	}
	return unreachable(failed)
}

// Upgrade begins an upgrade; UpgradeStatus shows the last one.
func (c *Client) Upgrade(ctx context.Context, q api.UpgradeRequest) (api.Upgrade, error) {
	var u api.Upgrade
	return u, c.call(ctx, http.MethodPost, api.PathUpgrade, q, &u)
}

// UpgradeStatus shows the last upgrade.
func (c *Client) UpgradeStatus(ctx context.Context) (api.Upgrade, error) {
	var u api.Upgrade
	return u, c.call(ctx, http.MethodGet, api.PathUpgrade, nil, &u)
}

// SetUpgrade tells the upgrade that is under way to pause, resume or halt.
func (c *Client) SetUpgrade(ctx context.Context, do string) (api.Upgrade, error) {
	var u api.Upgrade
	return u, c.call(ctx, http.MethodPost, strings.Replace(api.PathUpgradeDo, "{do}", do, 1), nil, &u)
}
