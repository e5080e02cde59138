// Package find opens TLS connections to controllers and says which of them is
// an AC of this grid.
//
// The only proof is TLS 1.3 with a chain that ends in a CA pinned in the image
// (api.VerifyAC); an answer without it, a captive portal's 200 included, counts
// for nothing, and nothing is sent before it. A clock that is plainly wrong, was
// set ahead by an AC that was wrong, or is behind is put right here from the
// AC's, after the chain has been verified as of the AC's time. Every connection
// leaves through the interface and from the address it was asked for, whatever
// the routes say.
//
// It is not a client of the AC's services: it hands out connections.
package find

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/clock"
)

// Target is a controller and the way to it.
type Target struct {
	Controller string       // https://host:port
	Interface  string       // leave through here; empty: as the routes say
	Source     netip.Addr   // leave from here; zero: as the kernel picks
	DNS        []netip.Addr // servers for the controller's name; none: the system's
}

// Finder opens connections for one node.
type Finder struct {
	Pinned *x509.CertPool // CAs of the image; the only roots
	// Revoked are issuing CAs of which no AC is believed any more (api.Settings).
	Revoked []string
	Clock   clock.Clock
	Built   time.Time // no clock reading before this is believed
	Log     *slog.Logger
}

// Open connects to a target and has it prove itself as an AC. cert is shown if
// it is not nil. Errors wrap api.ErrNotAC where a server was there that is no
// AC of this grid.
func (f *Finder) Open(ctx context.Context, t Target, cert *tls.Certificate) (*Conn, error) {
	u, err := url.Parse(t.Controller)
	if err != nil || u.Scheme != "https" {
		return nil, fmt.Errorf("controller %q: want https://HOST:PORT", t.Controller)
	}
	raw, err := t.dial(ctx, u)
	if err != nil {
		return nil, err
	}
	c := &Conn{url: u, wire: &wire{Conn: raw}}
	doubtful := false
	conf := f.config(cert, &c.AC, &doubtful)
	c.tls = tls.Client(c.wire, conf)
	if err := c.tls.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("TLS with %s: %w", t.Controller, orLate(ctx, err))
	}
	c.http = newExchange(c.tls)
	if doubtful {
		if err := f.repairClock(ctx, c); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// config has the server judged as of our own clock. *doubtful is set when that
// may be to blame.
func (f *Finder) config(cert *tls.Certificate, id *api.Identity, doubtful *bool) *tls.Config {
	conf := &tls.Config{
		MinVersion: tls.VersionTLS13,
		// An AC is at whatever address it was found, so the name proves
		// nothing; VerifyConnection checks the chain and the identity.
		InsecureSkipVerify: true,
		NextProtos:         []string{"http/1.1"},
		VerifyConnection: func(cs tls.ConnectionState) (err error) {
			if err := notRevoked(cs.PeerCertificates, f.Revoked); err != nil {
				return err
			}
			*id, *doubtful, err = Judge(cs.PeerCertificates, f.Pinned, clock.Read(f.Clock), f.Built)
			return err
		},
	}
	if cert != nil {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return conf
}

// repairClock asks the AC for its time, verifies the chain as of it, and only
// then believes it.
func (f *Finder) repairClock(ctx context.Context, c *Conn) error {
	hello, err := c.Hello(ctx)
	if err != nil {
		return err
	}
	ours := clock.Read(f.Clock)
	if err := Believe(c.State().PeerCertificates, f.Pinned, hello.Time, ours, f.Built); err != nil {
		return err
	}
	return f.set(hello.Time, ours, c, "clock was plainly wrong and is set from the AC")
}

// CompareClock asks an AC that has proved itself as of our clock for its time,
// and sets our clock forward if it is behind. It is for whoever holds a client
// certificate that begins in the future: one of the two clocks is wrong.
func (f *Finder) CompareClock(ctx context.Context, c *Conn) error {
	hello, err := c.Hello(ctx)
	if err != nil {
		return err
	}
	ours := clock.Read(f.Clock)
	behind, err := Behind(c.State().PeerCertificates, f.Pinned, hello.Time, ours, f.Built)
	if !behind {
		return err
	}
	return f.set(hello.Time, ours, c, "clock was behind the AC's and is set from it")
}

// set sets our clock. A machine that had no reckoning of its own has this one.
func (f *Finder) set(to time.Time, was clock.Reading, c *Conn, why string) error {
	if err := f.Clock.Set(to); err != nil {
		return err
	}
	if !clock.Plausible(was.Untouched, f.Built) {
		f.Clock.Adopt()
	}
	f.Log.Warn(why, "was", was.Now.UTC(), "now", to.UTC(), "ac", c.AC.String())
	return nil
}

// Probe asks whether an AC of this grid is at a target, and what it says of
// itself.
func (f *Finder) Probe(ctx context.Context, t Target) (api.Hello, error) {
	c, err := f.Open(ctx, t, nil)
	if err != nil {
		return api.Hello{}, err
	}
	defer c.Close()
	hello, err := c.Hello(ctx)
	return hello, orLate(ctx, err)
}

// ErrLate is wrapped when a server was there, and had not proved itself when
// the time was over: it, or this machine, may have too much to do.
var ErrLate = errors.New("no answer in time")

// orLate says so of what a deadline has ended.
func orLate(ctx context.Context, err error) error {
	if err == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrLate, err)
}

// StatusError is an answer of an AC that is neither 200 nor a refusal.
type StatusError struct {
	Path   string
	Status int
	After  time.Duration // how long the AC wants to be left alone; 0: it does not say
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s: the AC answered %d %s", e.Path, e.Status, http.StatusText(e.Status))
}
