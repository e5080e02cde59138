package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/duplex"
)

// ErrChannel is wrapped when the node could not do what a channel was opened
// for, or not to its end.
var ErrChannel = errors.New("the node did not do it")

// Channel is a shell, a forwarded connection or a file, in use.
type Channel struct {
	*duplex.Conn
	ws   *websocket.Conn
	stop func() bool // its ctx matters no longer
}

// Channel opens a channel to a node and waits until it is ready. It ends with
// ctx. Errors are about the way there (ErrUnreachable, *Failure) or about what
// was asked for (*Ended).
func (c *Client) Channel(ctx context.Context, ref string, open api.ChannelOpen) (*Channel, api.ChannelReady, error) {
	var ready api.ChannelReady
	ws, err := c.socket(ctx, at(api.PathChannel, ref))
	if err != nil {
		return nil, ready, err
	}
	ch := &Channel{Conn: duplex.New(duplex.Socket(ws), nil), ws: ws}
	ch.stop = context.AfterFunc(ctx, func() { _ = ws.CloseNow() })
	err = ch.SendJSON(api.FrameOpen, open)
	var f api.ChannelFrame
	if err == nil {
		f, err = ch.Next()
	}
	switch {
	case err == nil && f.Kind == api.FrameReady:
		return ch, ready, f.Decode(&ready)
	case err == nil && f.Kind == api.FrameEnd:
		_, err = ended(f)
	case err == nil:
		err = fmt.Errorf("channel: a frame %q, want an answer", rune(f.Kind))
	}
	ch.Leave()
	return nil, ready, ch.lost(ctx, err)
}

// socket opens a WebSocket to the first AC that answers.
func (c *Client) socket(ctx context.Context, path string) (*websocket.Conn, error) {
	var failed []error
	for _, base := range c.bases {
		ws, res, err := websocket.Dial(ctx, strings.TrimSuffix(base, "/")+path, &websocket.DialOptions{HTTPClient: c.http, CompressionMode: websocket.CompressionDisabled})
		switch {
		case err == nil:
			return ws, nil
		case res != nil && res.StatusCode != http.StatusSwitchingProtocols:
			return nil, failure(res)
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		failed = append(failed, err)
	}
	return nil, unreachable(failed)
}

// Ended is how a channel went wrong, as the node or the AC says.
type Ended struct{ api.ChannelEnd }

func (e *Ended) Error() string {
	return ErrChannel.Error() + ": " + api.Shown(e.ChannelEnd.Error, 4096)
}

// Unwrap makes it an ErrChannel.
func (e *Ended) Unwrap() error { return ErrChannel }

func ended(f api.ChannelFrame) (api.ChannelEnd, error) {
	var end api.ChannelEnd
	if err := f.Decode(&end); err != nil {
		return end, err
	}
	if end.Error != "" {
		return end, &Ended{end}
	}
	return end, nil
}

// lost says why a channel broke off.
func (ch *Channel) lost(ctx context.Context, err error) error {
	switch {
	case err == nil || errors.Is(err, ErrChannel):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return remedied{fmt.Errorf("%w: %w", ErrLost, err), "see whether it runs, and try again"}
}

// Copy writes what comes to the writers until the node says that it is over.
// eof is called when nothing more comes before that; it may be nil.
func (ch *Channel) Copy(ctx context.Context, stdout, stderr io.Writer, eof func(api.ChannelFrame) error) (api.ChannelEnd, error) {
	for {
		f, err := ch.Next()
		if err != nil {
			return api.ChannelEnd{}, ch.lost(ctx, err)
		}
		switch f.Kind {
		case api.FrameData:
			_, err = stdout.Write(f.Data)
		case api.FrameErrors:
			_, err = stderr.Write(f.Data)
		case api.FrameEOF:
			if eof != nil {
				err = eof(f)
			}
		case api.FrameEnd:
			return ended(f)
		default:
			err = fmt.Errorf("%w: it sent a frame %q in the middle", ErrChannel, rune(f.Kind))
		}
		if err != nil {
			return api.ChannelEnd{}, err
		}
	}
}

// Leave ends the channel, whatever it is doing.
func (ch *Channel) Leave() {
	ch.stop()
	_ = ch.ws.Close(websocket.StatusNormalClosure, "")
	ch.Close()
}
