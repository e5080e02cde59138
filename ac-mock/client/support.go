package client

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/g8os/g8os/core/api"
)

// maxMetrics bounds what is taken for an AC's metrics, in bytes.
const maxMetrics = 16 << 20

// Metrics are the AC's, in Prometheus' text format.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	res, err := c.do(ctx, http.MethodGet, api.PathMetrics, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxMetrics))
	if err != nil {
		return nil, fmt.Errorf("read the AC's metrics: %w: %w", ErrLost, err)
	}
	return text, nil
}

// Support writes a support bundle of the AC to w, and returns its size in bytes.
// After an error what was written is not whole.
func (c *Client) Support(ctx context.Context, w io.Writer) (size int64, err error) {
	res, err := c.do(ctx, http.MethodGet, api.PathSupport, nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if size, err = io.Copy(w, res.Body); err != nil {
		return size, fmt.Errorf("take the support bundle: %w: %w", ErrLost, err)
	}
	return size, nil
}
