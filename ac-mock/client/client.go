package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/g8os/g8os/core/api"
)

const dialTimeout = 5 * time.Second

// keepAlive finds out within half a minute that an AC is gone that could not say
// so, also when nothing is to be heard from it for long.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}

// Client speaks to the ACs of a context. It may be used concurrently.
type Client struct {
	bases []string
	http  *http.Client
	own   string
}

// New makes a Client. It reads the files that the context names, and connects
// to nothing. Errors wrap ErrContext.
func New(c Context) (*Client, error) {
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, unreadable("the grid's CA: ", err)
	}
	pinned := x509.NewCertPool()
	if !pinned.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: %s holds no PEM certificate", ErrContext, c.CA)
	}
	own, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, unreadable("the operator's certificate and key: ", err)
	}
	return &Client{bases: c.AC, own: identity(own), http: &http.Client{Transport: &http.Transport{
		TLSClientConfig:     tlsConfig(pinned, own),
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     30 * time.Second,
	}}}, nil
}

// identity is whom a certificate names; empty when it names nobody.
func identity(own tls.Certificate) string {
	id, err := api.ParseIdentity(own.Leaf.URIs)
	if err != nil {
		return ""
	}
	return id.String()
}

// Identity is who we are to the ACs, as their audit says it; empty if the
// certificate does not say.
func (c *Client) Identity() string { return c.own }

// tlsConfig verifies a server as an AC of the grid, at whatever address it is.
func tlsConfig(pinned *x509.CertPool, own tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{own},
		InsecureSkipVerify: true, // VerifyConnection does it: by identity, not by host name
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := api.VerifyAC(cs.PeerCertificates, pinned, time.Now())
			return err
		},
	}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Nodes lists all nodes.
func (c *Client) Nodes(ctx context.Context) ([]api.Node, error) {
	var list []api.Node
	return list, c.call(ctx, http.MethodGet, api.PathNodes, nil, &list)
}

// WatchNodes calls f with the list of nodes now and after every change, until
// ctx ends, f returns an error, or the AC is lost.
func (c *Client) WatchNodes(ctx context.Context, f func([]api.Node) error) error {
	res, err := c.do(ctx, http.MethodGet, api.PathNodes+"?watch=1", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return lines(res.Body, f)
}

// Node finds a node by id, MAC or host name.
func (c *Client) Node(ctx context.Context, ref string) (api.Node, error) {
	return c.node(ctx, http.MethodGet, api.PathNode, ref)
}

// Approve lets a pending node in.
func (c *Client) Approve(ctx context.Context, ref string) (api.Node, error) {
	return c.node(ctx, http.MethodPost, api.PathApprove, ref)
}

// Retire ends a node for good.
func (c *Client) Retire(ctx context.Context, ref string) (api.Node, error) {
	return c.node(ctx, http.MethodPost, api.PathRetire, ref)
}

// Quarantine shuts a node out until it is released.
func (c *Client) Quarantine(ctx context.Context, ref string) (api.Node, error) {
	return c.node(ctx, http.MethodPost, api.PathQuarantine, ref)
}

// Release takes a node out of quarantine.
func (c *Client) Release(ctx context.Context, ref string) (api.Node, error) {
	return c.node(ctx, http.MethodPost, api.PathRelease, ref)
}

// ChangeRoles gives a node roles and takes others away.
func (c *Client) ChangeRoles(ctx context.Context, ref string, q api.RolesRequest) (api.Node, error) {
	var n api.Node
	return n, c.call(ctx, http.MethodPost, at(api.PathNodeRoles, ref), q, &n)
}

// SetGrace says how far a node may unlock without an AC; the zero Grace: not.
func (c *Client) SetGrace(ctx context.Context, ref string, g api.Grace) (api.Node, error) {
	if !g.On() {
		return c.node(ctx, http.MethodDelete, api.PathGrace, ref)
	}
	var n api.Node
	return n, c.call(ctx, http.MethodPost, at(api.PathGrace, ref), g, &n)
}

func (c *Client) node(ctx context.Context, method, path, ref string) (api.Node, error) {
	var n api.Node
	return n, c.call(ctx, method, at(path, ref), nil, &n)
}

// Audit lists decisions with a number above after, oldest first: of one node,
// or of all if ref is empty; at most limit of the newest, or all if it is 0.
func (c *Client) Audit(ctx context.Context, ref string, after uint64, limit int) ([]api.AuditEntry, error) {
	q := url.Values{}
	if ref != "" {
		q.Set("node", ref)
	}
	q.Set("after", fmt.Sprint(after))
	q.Set("limit", fmt.Sprint(limit))
	var list []api.AuditEntry
	return list, c.call(ctx, http.MethodGet, api.PathAudit+"?"+q.Encode(), nil, &list)
}

// Faults lists the faults that are armed.
func (c *Client) Faults(ctx context.Context) ([]api.Fault, error) {
	var list []api.Fault
	return list, c.call(ctx, http.MethodGet, api.PathFaults, nil, &list)
}

// Arm arms a fault. Its nodes may be named by id, MAC or host name.
func (c *Client) Arm(ctx context.Context, f api.Fault) (api.Fault, error) {
	var armed api.Fault
	return armed, c.call(ctx, http.MethodPost, api.PathFaults, f, &armed)
}

// Clear ends a fault, or all if name is empty, and returns those still armed.
func (c *Client) Clear(ctx context.Context, name string) ([]api.Fault, error) {
	var list []api.Fault
	return list, c.call(ctx, http.MethodDelete, api.PathFaults+"?name="+url.QueryEscape(name), nil, &list)
}

// call makes a request and decodes its answer.
func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	res, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("%s %s: the AC's answer: %w", method, path, err)
	}
	return nil
}

// do sends a request to the first AC that answers. An AC that answers with a
// failure has answered. A request that one has got and that may change something
// is sent to no other.
func (c *Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	var failed []error
	for _, base := range c.bases {
		var sent atomic.Bool
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
		req, err := http.NewRequestWithContext(traced, method, strings.TrimSuffix(base, "/")+path, bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrContext, err)
		}
		if job, is := body.(api.JobRequest); is && job.ID != "" {
			req.Header["Idempotency-Key"] = nil // not sent; says that it may be sent again, where a connection that was kept turns out dead
		}
		req.Header.Set("Accept", api.RawEvents) // whatever is no job's stream is JSON all the same
		res, err := c.http.Do(req)
		if err == nil {
			return res, failure(res)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		failed = append(failed, err)
		if sent.Load() && method != http.MethodGet {
			return nil, perhaps{unreachable(failed)}
		}
	}
	return nil, unreachable(failed)
}

// errPerhaps is what an error is when the request may have been carried out.
var errPerhaps = errors.New("it may have been done")

// perhaps is such an error.
type perhaps struct{ error }

func (p perhaps) Unwrap() error      { return p.error }
func (perhaps) Is(target error) bool { return target == errPerhaps }

func unreachable(failed []error) error {
	err := fmt.Errorf("%w: %w", ErrUnreachable, errors.Join(failed...))
	last := failed[len(failed)-1]
	text := last.Error()
	switch {
	case errors.Is(last, api.ErrTime):
		return remedied{err, "the AC's certificate has run out, or the clock of this machine is wrong"}
	case errors.Is(last, api.ErrNotAC):
		return remedied{err, "whoever answers there is not an AC of this grid: check ac and ca in the context"}
	case strings.Contains(text, "remote error: tls:"):
		return remedied{err, "the AC does not take this operator's certificate (run out, revoked, or of another grid): get a new one from an admin"}
	case strings.Contains(text, "connection refused"):
		return remedied{err, "nothing listens there: start the AC (g8os_ac run, or make lab-up), or check ac in the context"}
	}
	return remedied{err, "check that the AC runs, and the network between here and there"}
}

// failure returns what an AC answered instead of 200, and closes the answer.
func failure(res *http.Response) error {
	if res.StatusCode == http.StatusOK {
		return nil
	}
	defer res.Body.Close()
	var f api.Failure
	text, _ := io.ReadAll(io.LimitReader(res.Body, api.MaxBody))
	if json.Unmarshal(text, &f) != nil || f.Error == "" {
		f.Error = fmt.Sprintf("the AC answered %s", res.Status)
	}
	return &Failure{Status: res.StatusCode, Text: f.Error, Remedy: f.Remedy}
}

// at puts a node reference into a path.
func at(path, ref string) string {
	return strings.Replace(path, "{id}", url.PathEscape(ref), 1)
}
