package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/g8os/g8os/core/api"
)

// events hands on a stream of events up to the one that ends it.
func (c *Client) events(ctx context.Context, method, path string, body any, take func(api.JobEvent) error) error {
	res, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	next := decoded[api.JobEvent](res.Body)
	if res.Header.Get("Content-Type") == api.RawEvents {
		next = api.NewEvents(res.Body).Next
	}
	err = each(next, func(e api.JobEvent) error {
		if err := take(e); err != nil {
			return err
		}
		if e.Done {
			return errEnded
		}
		return nil
	})
	if errors.Is(err, errEnded) {
		drain(res.Body)
		return nil
	}
	return err
}

// drainWithin is how long the end of an answer is waited for that has said all.
const drainWithin = time.Second

// drain reads an answer to its end, which is near: else its connection, and the
// handshake that it took, would be of no use to the next request.
func drain(body io.ReadCloser) {
	over := time.AfterFunc(drainWithin, func() { _ = body.Close() })
	defer over.Stop()
	_, _ = io.CopyN(io.Discard, body, 4<<10)
}

// lines decodes one JSON value a line and hands each on.
func lines[T any](r io.Reader, f func(T) error) error { return each(decoded[T](r), f) }

func decoded[T any](r io.Reader) func() (T, error) {
	dec := json.NewDecoder(r)
	return func() (T, error) {
		var v T
		err := dec.Decode(&v)
		return v, err
	}
}

// each hands on what next returns, until the stream breaks off or f returns an
// error.
func each[T any](next func() (T, error), f func(T) error) error {
	for {
		v, err := next()
		if err != nil {
			return remedied{fmt.Errorf("%w: %w", ErrLost, err), "see whether it runs, and try again"}
		}
		if err := f(v); err != nil {
			return err
		}
	}
}
