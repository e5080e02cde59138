package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/transfer"
)

// CopyOptions says how something is copied.
type CopyOptions struct {
	Folders  bool                  // folders too, with all that is in them
	Progress func(done, all int64) // is told how far it is; all is -1 when nobody knows; may be nil
}

// Copied is what was copied, as both ends have found.
type Copied struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Bytes  int64  `json:"bytes"`  // of a folder: of its tar stream
	SHA256 string `json:"sha256"` // of a folder: of its tar stream
	Folder bool   `json:"folder,omitempty"`
	Left   int    `json:"left,omitempty"` // sockets, devices and pipes that were left out
}

// Put copies a local file or folder to a path on a node.
func (c *Client) Put(ctx context.Context, ref, local, remote string, o CopyOptions) (Copied, error) {
	what, err := transfer.Look(ctx, local, o.Folders)
	if err != nil {
		return Copied{}, err
	}
	full, err := filepath.Abs(local)
	if err != nil {
		return Copied{}, err
	}
	return c.put(ctx, ref, filepath.Base(full), remote, what, o, func(w io.Writer) (api.ChannelSum, error) {
		return transfer.Send(ctx, w, local, what)
	})
}

// PutFrom copies what a reader has, up to its end, to a file on a node.
func (c *Client) PutFrom(ctx context.Context, ref string, from io.Reader, remote string, o CopyOptions) (Copied, error) {
	what := api.ChannelReady{Mode: 0o644, Bytes: -1}
	return c.put(ctx, ref, "stdin", remote, what, o, func(w io.Writer) (api.ChannelSum, error) {
		return transfer.SendFrom(ctx, w, from, -1)
	})
}

func (c *Client) put(ctx context.Context, ref, name, remote string, what api.ChannelReady, o CopyOptions, send func(io.Writer) (api.ChannelSum, error)) (Copied, error) {
	ch, _, err := c.Channel(ctx, ref, api.ChannelOpen{
		Kind: api.ChannelPut, Path: remote, Name: name, Folder: what.Folder, Mode: what.Mode, ModTime: what.ModTime, Bytes: what.Bytes, OnDisk: what.OnDisk,
	})
	if err != nil {
		return Copied{}, err
	}
	defer ch.Leave()
	sent, failed := send(&counted{w: ch.Writer(api.FrameData), all: what.Bytes, tell: o.Progress})
	if failed == nil {
		failed = ch.SendJSON(api.FrameEOF, sent)
	} else if !over(ch) { // ours: the node is not to wait for more
		return Copied{}, failed
	}
	end, err := ch.Copy(ctx, io.Discard, io.Discard, nil)
	switch {
	case err != nil:
		return Copied{}, err
	case failed != nil:
		return Copied{}, failed
	case end.Sum == nil:
		return Copied{}, fmt.Errorf("%w: it does not say what it has written", ErrChannel)
	}
	if err := transfer.Check(sent, *end.Sum); err != nil {
		return Copied{}, err
	}
	return Copied{Bytes: sent.Bytes, SHA256: sent.SHA256, Folder: what.Folder, Left: sent.Left}, nil
}

// over says whether the other side has ended the channel.
func over(ch *Channel) bool {
	select {
	case <-ch.Done():
		return true
	default:
		return false
	}
}

// Get copies a file or folder of a node to a local path.
func (c *Client) Get(ctx context.Context, ref, remote, local string, o CopyOptions) (Copied, error) {
	ch, what, err := c.get(ctx, ref, remote, o.Folders)
	if err != nil {
		return Copied{}, err
	}
	defer ch.Leave()
	t, err := transfer.Create(local, path.Base(remote), what)
	if err != nil {
		return Copied{}, err
	}
	defer t.Abort()
	return ch.receive(ctx, what, o, t.Fill, t.Commit)
}

// GetTo copies a file of a node to a writer.
func (c *Client) GetTo(ctx context.Context, ref, remote string, to io.Writer, o CopyOptions) (Copied, error) {
	ch, what, err := c.get(ctx, ref, remote, false)
	if err != nil {
		return Copied{}, err
	}
	defer ch.Leave()
	fill := func(ctx context.Context, r io.Reader) (api.ChannelSum, error) {
		if what.Bytes >= 0 {
			r = io.LimitReader(r, what.Bytes+1) // one more is one too many: the sums differ
		}
		return transfer.SendFrom(ctx, to, r, -1)
	}
	return ch.receive(ctx, what, o, fill, func() error { return nil })
}

func (c *Client) get(ctx context.Context, ref, remote string, folders bool) (*Channel, api.ChannelReady, error) {
	ch, what, err := c.Channel(ctx, ref, api.ChannelOpen{Kind: api.ChannelGet, Path: remote, Folder: folders})
	if err == nil && what.Folder && !folders {
		ch.Leave()
		err = fmt.Errorf("%w: it sends a folder, and none was asked for", ErrChannel)
	}
	return ch, what, err
}

// receive takes the data of a get, proves it, and lets it be kept.
func (ch *Channel) receive(ctx context.Context, what api.ChannelReady, o CopyOptions, fill func(context.Context, io.Reader) (api.ChannelSum, error), keep func() error) (Copied, error) {
	data := ch.Data()
	got, err := fill(ctx, io.TeeReader(data, &counted{w: io.Discard, all: what.Bytes, tell: o.Progress}))
	if last := data.Last(); err != nil && last.Kind == api.FrameEnd {
		if _, why := ended(last); why != nil {
			return Copied{}, why
		}
	}
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) && over(ch) {
			return Copied{}, ch.lost(ctx, err)
		}
		return Copied{}, err
	}
	sent, err := data.Sum()
	if err == nil {
		err = transfer.Check(sent, got)
	}
	if err == nil {
		err = keep()
	}
	return Copied{Bytes: got.Bytes, SHA256: got.SHA256, Folder: what.Folder, Left: sent.Left}, err
}

// counted tells how much has passed.
type counted struct {
	w         io.Writer
	done, all int64
	tell      func(done, all int64)
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if c.done += int64(n); c.tell != nil {
		c.tell(c.done, c.all)
	}
	return n, err
}
