package find

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/clock"
)

var built = time.Now().Add(-24 * time.Hour).Truncate(time.Second)

// grid is a CA and an AC server for tests.
type grid struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newGrid(t *testing.T) *grid {
	t.Helper()
	g := &grid{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: built.Add(-time.Hour), NotAfter: built.Add(100 * 24 * time.Hour),
	}
	g.root = sign(t, template, template, g.key, g.key)
	return g
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t *testing.T, template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// leaf makes a server certificate; change bends it.
func (g *grid) leaf(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: built.Add(time.Hour), NotAfter: built.Add(30 * 24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		URIs:        []*url.URL{api.Identity{Grid: "g", Role: api.RoleAC, Name: "ac1"}.URI()},
	}
	if change != nil {
		change(template)
	}
	key := newKey(t)
	c := sign(t, template, g.root, key, g.key)
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}
}

// serve runs a server that answers as an AC whose clock shows now, and counts
// the requests that reach it.
func serve(t *testing.T, cert tls.Certificate, now time.Time, asked *int) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked++
		switch r.URL.Path {
		case "/refused":
			w.WriteHeader(http.StatusForbidden)
		case "/teapot":
			w.WriteHeader(http.StatusTeapot)
		case "/endless":
			_, _ = w.Write(make([]byte, api.MaxBody+2))
		default:
			_ = json.NewEncoder(w).Encode(api.Hello{Grid: "g", AC: "ac1", Time: now})
		}
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.URL
}

func (g *grid) finder(c clock.Clock) *Finder {
	pool := x509.NewCertPool()
	pool.AddCert(g.root)
	return &Finder{Pinned: pool, Clock: c, Built: built, Log: slog.New(slog.DiscardHandler)}
}

func TestProof(t *testing.T) {
	g, stranger := newGrid(t), newGrid(t)
	tests := []struct {
		name string
		cert tls.Certificate
		ok   bool
	}{
		{"an AC of the grid", g.leaf(t, nil), true},
		{"T10 a stranger that calls itself an AC of the grid", stranger.leaf(t, nil), false},
		{"a node of the grid that serves", g.leaf(t, func(c *x509.Certificate) {
			c.URIs = []*url.URL{api.Identity{Grid: "g", Role: api.RoleNode, Name: "020000000001"}.URI()}
		}), false},
		{"a client certificate", g.leaf(t, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), false},
		{"a certificate without identity", g.leaf(t, func(c *x509.Certificate) { c.URIs = nil }), false},
		{"an expired certificate", g.leaf(t, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = built.Add(-time.Hour), built.Add(time.Hour)
		}), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			url := serve(t, tt.cert, time.Now(), &asked)
			hello, err := g.finder(&clock.System{}).Probe(t.Context(), Target{Controller: url})
			switch {
			case tt.ok && (err != nil || hello.AC != "ac1"):
				t.Fatalf("hello %+v, error %v; want ac1", hello, err)
			case !tt.ok && !errors.Is(err, api.ErrNotAC):
				t.Fatalf("error %v, want one that wraps ErrNotAC", err)
			case !tt.ok && asked != 0:
				t.Fatalf("%d requests were sent to a server that is no AC", asked)
			}
		})
	}
}

func TestPlainHTTPIsNoAC(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	defer srv.Close()
	g := newGrid(t)
	for _, url := range []string{srv.URL, strings.Replace(srv.URL, "http:", "https:", 1)} {
		if _, err := g.finder(&clock.System{}).Probe(t.Context(), Target{Controller: url}); err == nil {
			t.Errorf("%s, a portal that answers 200 to everything, counts as an AC", url)
		}
	}
}

// TestT11Clock is trap T11: a wrong clock makes certificates invalid. It is
// repaired where it is plainly wrong, and never turned back otherwise.
func TestT11Clock(t *testing.T) {
	g := newGrid(t)
	now := time.Now()
	tests := []struct {
		name     string
		offset   time.Duration // of the node's clock
		acTime   time.Time
		repaired bool
		ok       bool
	}{
		{"right", 0, now, false, true},
		{"1970", -time.Until(time.Unix(0, 0)) * -1, now, true, true},
		{"2038", time.Until(time.Unix(1<<31-1, 0)) + 400*24*time.Hour, now, true, true},
		{"behind the AC's certificate", -time.Since(built) + time.Minute, now, true, true},
		{"plausible, but past the certificate", 40 * 24 * time.Hour, now, false, false},
		{"1970, and the AC lies about the time", -time.Until(time.Unix(0, 0)) * -1, time.Unix(1000, 0), false, false},
		{"1970, and as of the AC's time its chain has expired", -time.Until(time.Unix(0, 0)) * -1, now.Add(60 * 24 * time.Hour), false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			c := clock.NewOwn(tt.offset)
			wrong := c.Now()
			_, err := g.finder(c).Probe(t.Context(), Target{Controller: serve(t, g.leaf(t, nil), tt.acTime, &asked)})
			if tt.ok != (err == nil) {
				t.Fatalf("error %v, want success %v", err, tt.ok)
			}
			moved := c.Now().Sub(wrong).Abs() > time.Minute
			if moved != tt.repaired {
				t.Fatalf("clock went from %s to %s; want repaired: %v", wrong, c.Now(), tt.repaired)
			}
			if tt.ok && time.Until(c.Now()).Abs() > time.Minute {
				t.Fatalf("clock shows %s", c.Now())
			}
		})
	}
}

// A clock that an AC set ahead goes back when the AC is right again; one that is
// behind an AC whose chain it takes for good is set forward when somebody asks.
func TestClockFollowsTheAC(t *testing.T) {
	g, now, asked := newGrid(t), time.Now(), 0
	ahead := g.leaf(t, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = now.Add(40*24*time.Hour-time.Hour), now.Add(45*24*time.Hour)
	})
	c := clock.NewOwn(0)
	shows := func(want time.Time) {
		t.Helper()
		if off := c.Now().Sub(want); off.Abs() > time.Minute {
			t.Errorf("the clock shows %s, %s from %s", c.Now(), off, want)
		}
	}
	probe := func(url string) {
		t.Helper()
		if _, err := g.finder(c).Probe(t.Context(), Target{Controller: url}); err != nil {
			t.Fatal(err)
		}
	}
	right := serve(t, g.leaf(t, nil), now, &asked)
	probe(serve(t, ahead, now.Add(40*24*time.Hour), &asked))
	shows(now.Add(40 * 24 * time.Hour))
	probe(right)
	shows(now)

	c = clock.NewOwn(-20 * time.Hour)
	conn, err := g.finder(c).Open(t.Context(), Target{Controller: right}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	shows(now.Add(-20 * time.Hour))
	if err := g.finder(c).CompareClock(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	shows(now)
	conn.Close()
	if err := g.finder(c).CompareClock(t.Context(), conn); err == nil {
		t.Error("compared with an AC that is not there")
	}
}

func TestAnswers(t *testing.T) {
	g, asked := newGrid(t), 0
	url := serve(t, g.leaf(t, nil), time.Now(), &asked)
	conn, err := g.finder(&clock.System{}).Open(t.Context(), Target{Controller: url}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if b, err := conn.Binding(); err != nil || len(b) != 32 {
		t.Fatalf("binding %x, %v", b, err)
	}
	if err := conn.Post(t.Context(), "/refused", 1, nil); !errors.Is(err, api.ErrRefused) {
		t.Errorf("403: %v, want ErrRefused", err)
	}
	var status *StatusError
	if err := conn.Post(t.Context(), "/teapot", 1, nil); !errors.As(err, &status) || status.Status != http.StatusTeapot {
		t.Errorf("418: %v, want StatusError", err)
	}
	if err := conn.Post(t.Context(), "/endless", 1, new(int)); err == nil || !strings.Contains(err.Error(), "longer") {
		t.Errorf("an answer beyond MaxBody: %v", err)
	}
	if asked != 3 {
		t.Errorf("%d requests arrived, want 3, all on one connection", asked)
	}
}

func TestUnreachable(t *testing.T) {
	g := newGrid(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, target := range []Target{
		{Controller: "https://127.0.0.1:1"},
		{Controller: "http://127.0.0.1:1"},
		{Controller: "https://127.0.0.1:1", Interface: "no-such-if0"},
	} {
		if _, err := g.finder(&clock.System{}).Open(ctx, target, nil); err == nil {
			t.Errorf("%+v: no error", target)
		}
	}
}
