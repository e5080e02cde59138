package client

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/g8os/g8os/core/api"
)

// Backup writes a backup of the grid's store. When it fails, what was written
// is not one.
func (c *Client) Backup(ctx context.Context, w io.Writer) (size int64, err error) {
	res, err := c.do(ctx, http.MethodGet, api.PathBackup, nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	size, err = io.Copy(w, res.Body)
	if err != nil {
		return size, remedied{fmt.Errorf("backup: after %d bytes: %w", size, err), "see whether the AC runs, and try again"}
	}
	return size, nil
}
