package find

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Conn is one TLS connection to an AC that has proved itself, for requests one
// after another. It is for one goroutine at a time.
type Conn struct {
	AC   api.Identity // who it is
	url  *url.URL
	wire *wire
	tls  *tls.Conn
	http *exchange
}

// State is that of the TLS connection.
func (c *Conn) State() tls.ConnectionState { return c.tls.ConnectionState() }

// Binding returns the connection's channel binding.
func (c *Conn) Binding() ([]byte, error) { return api.Binding(c.State()) }

// Close ends the connection.
func (c *Conn) Close() { c.http.close() }

// wire is the TCP connection. While an answer is awaited it is closed with a
// reset, so that the kernel forgets what it has not delivered. Otherwise a
// signed request could reach the AC after the one that followed it on another
// connection: its counter would have gone back, which looks like a clone.
type wire struct {
	net.Conn
	waiting atomic.Bool
}

func (w *wire) Close() error {
	if t, ok := w.Conn.(*net.TCPConn); ok && w.waiting.Load() {
		_ = t.SetLinger(0)
	}
	return w.Conn.Close()
}

// RoundTrip sends one request on this connection, so that a Conn can stand
// where an http.Client wants a transport.
func (c *Conn) RoundTrip(r *http.Request) (*http.Response, error) { return c.http.roundTrip(r) }

// URL is the address of a path on this AC.
func (c *Conn) URL(path string) string { return c.url.JoinPath(path).String() }

// Hello asks the AC who it is and what time it has.
func (c *Conn) Hello(ctx context.Context) (api.Hello, error) {
	var h api.Hello
	err := c.do(ctx, http.MethodGet, api.PathHello, nil, &h)
	return h, err
}

// Post sends in as JSON and reads the answer into out, if that is not nil. A
// refusal is an error that wraps api.ErrRefused; another status a StatusError.
func (c *Conn) Post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return c.do(ctx, http.MethodPost, path, body, out)
}

func (c *Conn) do(ctx context.Context, method, path string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.URL(path), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	c.wire.waiting.Store(true)
	resp, err := c.http.roundTrip(req)
	if err != nil {
		return fmt.Errorf("%s on %s: %w", path, c.url.Host, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, api.MaxBody+1))
	if err == nil {
		c.wire.waiting.Store(false)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s on %s: reading the answer: %w", path, c.url.Host, err)
	case resp.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%s: %w", path, api.ErrRefused)
	case resp.StatusCode != http.StatusOK:
		return &StatusError{Path: path, Status: resp.StatusCode, After: retryAfter(resp.Header)}
	case len(raw) > api.MaxBody:
		return fmt.Errorf("%s on %s: the answer is longer than %d bytes", path, c.url.Host, api.MaxBody)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s on %s: the answer is no such JSON: %w", path, c.url.Host, err)
	}
	return nil
}

// longestAfter bounds what an AC can ask a node to wait for.
const longestAfter = time.Minute

// retryAfter reads Retry-After in seconds (RFC 9110, 10.2.3); a date needs a
// clock that agrees, which a node may not have.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, longestAfter)
}
