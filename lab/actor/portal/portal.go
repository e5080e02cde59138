// Package portal is the captive portal of a hotel: DHCP gives an address with
// the portal as router and DNS server, every name is the portal, and whoever
// connects anywhere, over HTTP or TLS, gets its page and a friendly 200.
//
// It promises to answer in the place of every address beyond the segment on
// the ports it captures, and to note every request it gets as a stranger does.
// It lets nobody through, ever.
package portal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/g8os/g8os/lab/actor"
	"github.com/g8os/g8os/lab/actor/dhcp"
	"github.com/g8os/g8os/lab/actor/dhcp/decide"
	"github.com/g8os/g8os/lab/actor/stranger"
)

// Page is what everybody gets to see.
const Page = "<html><title>Welcome</title><body>Please accept our terms to go on.</body></html>"

// Config says where a portal stands.
type Config struct {
	Interface string       // has the address Scope.Server
	Scope     decide.Scope // what its DHCP server hands out; router and DNS become the portal
	Log       *slog.Logger
}

// ports it captures, and how it speaks there.
var ports = []struct {
	number string
	kind   stranger.Kind
}{
	{"80", stranger.KindHTTP},
	{"443", stranger.KindSelfSigned},
	{"8966", stranger.KindSelfSigned},
}

type portal struct{ cfg Config }

// Run is a portal until ctx ends.
func Run(ctx context.Context, cfg Config) (err error) {
	cfg.Scope.Router = cfg.Scope.Server
	cfg.Scope.DNS = append(cfg.Scope.DNS[:0:0], cfg.Scope.Server)
	undo, err := capture(cfg.Interface)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, undo()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &portal{cfg: cfg}
	parts, err := p.open(ctx)
	if err != nil {
		return err
	}
	return p.run(ctx, cancel, parts)
}

type part func(ctx context.Context) error

// run runs the parts until one of them ends or ctx does.
func (p *portal) run(ctx context.Context, cancel func(), parts []part) error {
	var errs []error
	var mu sync.Mutex
	var running sync.WaitGroup
	for _, part := range parts {
		running.Go(func() {
			err := part(ctx)
			cancel()
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	p.cfg.Log.Info(actor.Ready, "interface", p.cfg.Interface, "address", p.cfg.Scope.Server.String())
	running.Wait()
	return errors.Join(errs...)
}

// open opens every socket, so that whoever is told "ready" finds them.
func (p *portal) open(ctx context.Context) ([]part, error) {
	quiet := slog.New(notReady{p.cfg.Log.Handler()})
	leases, err := dhcp.Open(dhcp.Config{Interface: p.cfg.Interface, Scope: p.cfg.Scope, Mode: decide.Mode{Name: "normal"}, Log: quiet})
	if err != nil {
		return nil, err
	}
	parts := []part{leases.Serve}
	dns, err := transparent.ListenPacket(ctx, "udp4", ":53")
	if err != nil {
		return nil, fmt.Errorf("answer DNS: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = dns.Close() })
	parts = append(parts, func(ctx context.Context) error {
		if err := p.serveDNS(dns); ctx.Err() == nil {
			return fmt.Errorf("answer DNS: %w", err)
		}
		return nil
	})
	for _, port := range ports {
		l, err := transparent.Listen(ctx, "tcp4", ":"+port.number)
		if err != nil {
			return nil, fmt.Errorf("capture port %s: %w", port.number, err)
		}
		context.AfterFunc(ctx, func() { _ = l.Close() })
		parts = append(parts, func(ctx context.Context) error {
			return stranger.Serve(ctx, l, stranger.Config{Listen: l.Addr().String(), Kind: port.kind, Reply: Page, Log: quiet.With("port", port.number)})
		})
	}
	return parts, nil
}

// notReady drops the parts' own ready: the portal is ready when it says so.
type notReady struct{ slog.Handler }

func (h notReady) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == actor.Ready {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h notReady) WithAttrs(attrs []slog.Attr) slog.Handler {
	return notReady{h.Handler.WithAttrs(attrs)}
}

func (h notReady) WithGroup(name string) slog.Handler { return notReady{h.Handler.WithGroup(name)} }
