package channel

import (
	"context"
	"fmt"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/duplex"
	"github.com/g8os/g8os/internal/transfer"
)

// get sends a file or folder to the operator.
func get(ctx context.Context, c *duplex.Conn, open api.ChannelOpen) error {
	ready, err := transfer.Look(ctx, open.Path, open.Folder)
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	if err := c.SendJSON(api.FrameReady, ready); err != nil {
		return err
	}
	sum, err := transfer.Send(ctx, c.Writer(api.FrameData), open.Path, ready)
	if err != nil {
		return fmt.Errorf("get %s: %w", open.Path, err)
	}
	return c.SendJSON(api.FrameEOF, sum)
}

// put writes a file or folder of the operator's and says what it has written.
func put(ctx context.Context, c *duplex.Conn, open api.ChannelOpen) (*api.ChannelSum, error) {
	t, err := transfer.Create(open.Path, open.Name, api.ChannelReady{Folder: open.Folder, Mode: open.Mode, ModTime: open.ModTime, Bytes: open.Bytes, OnDisk: open.OnDisk})
	if err != nil {
		return nil, fmt.Errorf("put: %w", err)
	}
	defer t.Abort()
	if err := c.SendJSON(api.FrameReady, api.ChannelReady{}); err != nil {
		return nil, err
	}
	data := c.Data()
	got, err := t.Fill(ctx, data)
	var sent api.ChannelSum
	if err == nil {
		sent, err = data.Sum()
	}
	if err == nil {
		err = transfer.Check(sent, got)
	}
	if err == nil {
		err = t.Commit()
	}
	if err != nil {
		return nil, fmt.Errorf("put %s: nothing is written: %w", open.Path, err)
	}
	return &got, nil
}
