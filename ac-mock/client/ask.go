package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/g8os/g8os/core/api"
)

// NodeMetrics lists what all nodes that have a session measured last, by node.
func (c *Client) NodeMetrics(ctx context.Context) ([]api.NodeMetrics, error) {
	var list []api.NodeMetrics
	return list, c.call(ctx, http.MethodGet, api.PathNodeMetrics, nil, &list)
}

// Facts are what a node is.
func (c *Client) Facts(ctx context.Context, ref string) (f api.Facts, err error) {
	err = c.Ask(ctx, ref, api.BuiltinFacts, nil, func(line []byte) error { return json.Unmarshal(line, &f) })
	return f, err
}

// Top hands on what uses a node: once, or with a.Follow again and again until
// ctx ends or take fails.
func (c *Client) Top(ctx context.Context, ref string, a api.TopArgs, take func(api.Top) error) error {
	return c.Ask(ctx, ref, api.BuiltinTop, a, func(line []byte) error {
		var t api.Top
		if err := json.Unmarshal(line, &t); err != nil {
			return err
		}
		return take(t)
	})
}

// Ask has g8os_core of a node itself do something, and hands on each line of
// its answer. Its errors are those of Exec; ErrJob with what the node says.
func (c *Client) Ask(ctx context.Context, ref string, what api.Builtin, args any, line func([]byte) error) error {
	req := api.ExecRequest{Builtin: what}
	if args != nil {
		text, err := json.Marshal(args)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		req.Args = text
	}
	out := &liner{take: line}
	code, err := c.Exec(ctx, ref, req, ExecOptions{Stdout: out, Stderr: io.Discard})
	switch {
	case err != nil:
		return err
	case code != 0:
		return fmt.Errorf("%w: %s on node %s: exit code %d", ErrJob, what, ref, code)
	case out.lines == 0:
		return fmt.Errorf("%w: %s on node %s said nothing", ErrJob, what, ref)
	}
	return nil
}

// maxLine bounds one line of a node's answer, in bytes.
const maxLine = 4 << 20

// liner hands on what is written to it line by line.
type liner struct {
	take  func([]byte) error
	rest  []byte
	lines int
}

// Write implements io.Writer.
func (l *liner) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			break
		}
		l.lines++
		if err := l.take(line); err != nil {
			return 0, err
		}
		l.rest = rest
	}
	if len(l.rest) > maxLine {
		return 0, errors.New("the node's answer has no end")
	}
	return len(p), nil
}
