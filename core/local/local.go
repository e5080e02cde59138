// Package local is the socket on which g8os_core talks to its own machine:
// status, waiting for a phase, the order to read its files again, and what an
// operator can ask for over an AC, too.
//
//	GET  /status            api.Status
//	GET  /status?watch=1    one api.Status a line, now and on every change
//	POST /reload            read net.toml and the declarations of services again
//	POST /builtin/NAME      do an api.Builtin; its arguments are the body
//	POST /shutdown          end jobs, then services in order: the machine goes down
//	POST /restart           become the g8os_core that is to run now
//
// It promises nothing about who may connect: the file's mode decides (root).
// It is not reachable over the network.
package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"

	"github.com/g8os/g8os/core/api"
)

// Socket is where it is.
const Socket = "/var/run/core.sock"

// Board shows the present status to any number of readers.
type Board struct {
	mu      sync.Mutex
	status  api.Status
	changed chan struct{}
}

// NewBoard returns a Board that shows s.
func NewBoard(s api.Status) *Board { return &Board{status: s, changed: make(chan struct{})} }

// Show replaces the status and wakes the readers.
func (b *Board) Show(s api.Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = s
	close(b.changed)
	b.changed = make(chan struct{})
}

// Status returns what is shown, and a channel that is closed when it changes.
func (b *Board) Status() (api.Status, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status, b.changed
}

// ErrRunning is wrapped by Serve when another g8os_core has the socket.
var ErrRunning = errors.New("g8os_core is running already")

// Listen opens the socket. One that a killed g8os_core left behind is replaced.
func Listen(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("%s answers: %w; use g8os_core status", path, ErrRunning)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	return l, nil
}

// Does is what the socket's clients can have done; nil: they cannot.
type Does struct {
	Reload   func()
	Builtin  func(ctx context.Context, name api.Builtin, args json.RawMessage, out io.Writer) (code int, err error)
	Shutdown func(context.Context) error
	Restart  func() // soon: it does not block
}

// Serve answers on l until ctx ends.
func Serve(ctx context.Context, l net.Listener, b *Board, do Does) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) { show(w, r, b) })
	if do.Reload != nil {
		mux.HandleFunc("POST /reload", func(http.ResponseWriter, *http.Request) { do.Reload() })
	}
	if do.Builtin != nil {
		mux.HandleFunc("POST /builtin/{name}", func(w http.ResponseWriter, r *http.Request) { builtin(w, r, do.Builtin) })
	}
	if do.Shutdown != nil {
		mux.HandleFunc("POST /shutdown", func(w http.ResponseWriter, r *http.Request) {
			if err := do.Shutdown(r.Context()); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	if do.Restart != nil {
		mux.HandleFunc("POST /restart", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "0") // the answer is whole before there is nobody to finish it
			_ = http.NewResponseController(w).Flush()
			do.Restart()
		})
	}
	srv := &http.Server{Handler: mux, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); ctx.Err() == nil {
		return fmt.Errorf("local socket: %w", err)
	}
	return nil
}

func show(w http.ResponseWriter, r *http.Request, b *Board) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	for {
		s, changed := b.Status()
		if enc.Encode(s) != nil || r.URL.Query().Get("watch") == "" {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// Client asks the g8os_core behind the socket at Path.
type Client struct{ Path string }

func (c Client) do(ctx context.Context, method, path string) (*http.Response, error) {
	return c.send(ctx, method, path, nil)
}

func (c Client) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", c.Path)
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://core"+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("g8os_core does not answer on %s; is it running? (g8os_core run): %w", c.Path, err)
	}
	return resp, nil
}

// Status returns the present status.
func (c Client) Status(ctx context.Context) (api.Status, error) {
	var s api.Status
	resp, err := c.do(ctx, http.MethodGet, "/status")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// Watch calls f with the present status and with every change, until f returns
// false or ctx ends.
func (c Client) Watch(ctx context.Context, f func(api.Status) bool) error {
	resp, err := c.do(ctx, http.MethodGet, "/status?watch=1")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		var s api.Status
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return fmt.Errorf("status on %s: %w", c.Path, err)
		}
		if !f(s) {
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("g8os_core on %s has ended", c.Path)
}

// Reload has net.toml and the declarations of services read again.
func (c Client) Reload(ctx context.Context) error { return c.order(ctx, "/reload") }

// Restart has the daemon become the g8os_core that is to run now. It returns
// before it has.
func (c Client) Restart(ctx context.Context) error { return c.order(ctx, "/restart") }

func (c Client) order(ctx context.Context, path string) error {
	resp, err := c.do(ctx, http.MethodPost, path)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
