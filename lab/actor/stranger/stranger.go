// Package stranger is a server that stands where an AC should stand, and is
// none: on 10.254.254.254, or on a controller's address. It answers everything
// with a friendly 200 and notes every byte it is sent, so that a scenario can
// prove what a node did not say to it.
//
// It promises that a request which reaches it is in its log before the answer
// goes out. It holds no key of the grid, whatever its certificate says.
package stranger

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/g8os/g8os/lab/actor"
)

// Kind is what a stranger pretends to be.
type Kind string

// The kinds of strangers.
const (
	KindSelfSigned Kind = "self-signed" // TLS with a certificate that vouches for itself
	KindImpostor   Kind = "impostor"    // TLS with an AC's identity of this grid, from a CA of its own
	KindHTTP       Kind = "http"        // no TLS at all: a plain web server
)

// Config says who a stranger is and where it stands.
type Config struct {
	Listen string // address and port, for example 10.254.254.254:8966
	Kind   Kind
	Grid   string // the grid that an impostor names
	Reply  string // body of every answer; empty: {"ok":true}
	// Log gets connection (from, raw: the first bytes on the wire, base64),
	// handshake (from, error: empty when TLS was set up) and request (from,
	// method, path, headers, body).
	Log *slog.Logger
}

const (
	maxWait = 30 * time.Second // for one connection
	maxNote = 64 << 10         // bytes noted of one connection, and of one body
)

// Run serves until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("stand at %s: %w; has the interface that address?", cfg.Listen, err)
	}
	return Serve(ctx, l, cfg)
}

// Serve is Run on a listener, which it closes.
func Serve(ctx context.Context, l net.Listener, cfg Config) error {
	defer l.Close()
	config, err := tlsConfig(cfg)
	if err != nil {
		return err
	}
	var open sync.WaitGroup
	defer open.Wait()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	cfg.Log.Info(actor.Ready, "listen", l.Addr().String(), "kind", string(cfg.Kind))
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept at %s: %w", cfg.Listen, err)
		}
		open.Go(func() { talk(ctx, c, config, cfg) })
	}
}

// tlsConfig is nil for a stranger that speaks no TLS.
func tlsConfig(cfg Config) (*tls.Config, error) {
	var cert tls.Certificate
	var err error
	switch cfg.Kind {
	case KindHTTP:
		return nil, nil
	case KindSelfSigned:
		cert, err = SelfSigned()
	case KindImpostor:
		cert, err = Impostor(cfg.Grid)
	default:
		err = fmt.Errorf("a stranger of kind %q: want %s, %s or %s", cfg.Kind, KindSelfSigned, KindImpostor, KindHTTP)
	}
	// It takes whatever certificate a client shows: the more it is told the better.
	return &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}, err
}

func talk(ctx context.Context, c net.Conn, config *tls.Config, cfg Config) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	_ = c.SetDeadline(time.Now().Add(maxWait))
	log := cfg.Log.With("from", c.RemoteAddr().String())
	tap := &tap{Conn: c}
	defer func() { log.Info("connection", "raw", base64.StdEncoding.EncodeToString(tap.seen())) }()
	var stream net.Conn = tap
	if config != nil {
		secure := tls.Server(tap, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			log.Info("handshake", "error", err.Error())
			return
		}
		log.Info("handshake", "error", "", "server_name", secure.ConnectionState().ServerName,
			"client_certificates", len(secure.ConnectionState().PeerCertificates))
		stream = secure
	}
	for in := bufio.NewReader(stream); ; {
		if err := answer(in, stream, cfg.Reply, log); err != nil {
			return
		}
	}
}

// answer reads one request, notes it, and is friendly.
func answer(in *bufio.Reader, out io.Writer, reply string, log *slog.Logger) error {
	r, err := http.ReadRequest(in)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			log.Info("garbage", "error", err.Error())
		}
		return err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxNote))
	log.Info("request", "method", r.Method, "path", r.URL.Path, "headers", r.Header, "body", string(body))
	if err != nil {
		return err
	}
	if reply == "" {
		reply = `{"ok":true}`
	}
	_, err = fmt.Fprintf(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(reply), reply)
	return err
}

// tap notes what arrives on a connection, before anything decrypts it.
type tap struct {
	net.Conn
	mu    sync.Mutex
	bytes []byte
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes = append(t.bytes, b[:min(n, maxNote-len(t.bytes))]...)
	return n, err
}

func (t *tap) seen() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bytes
}
