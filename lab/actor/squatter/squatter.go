// Package squatter is the machine that already has your address: it answers
// ARP for one address or a whole range, announces, and defends what it has, as
// RFC 5227 lets it.
//
// It promises that an address it holds looks taken to whoever probes for it,
// within a millisecond or so, and that a released one is free from then on.
// It gives its interface no address: it only speaks ARP.
package squatter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"

	"github.com/g8os/g8os/lab/actor"
	"github.com/g8os/g8os/lab/actor/control"
)

// Config says what a squatter has.
type Config struct {
	Interface    string
	Addresses    Addresses
	Except       Addresses        // of Addresses: those it does not have
	MAC          net.HardwareAddr // whom it pretends to be; nil: its interface
	StartAfter   time.Duration    // it turns up late, and takes what is in use by then
	ReleaseAfter time.Duration    // it goes away again, counted from its start; 0: stays
	Yield        bool             // gives an address up when somebody else announces it
	Control      string           // socket that takes "take ADDRESSES" and "release ADDRESSES"; may be empty
	Log          *slog.Logger     // probe, announce, request (address, from, answered), told
}

type squatter struct {
	cfg  Config
	conn *packet.Conn

	mu sync.Mutex // guards h, and keeps what is told and what is heard in order
	h  *holder
}

// Run squats until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	ifi, err := net.InterfaceByName(cfg.Interface)
	if err != nil {
		return fmt.Errorf("squat on interface %q: %w", cfg.Interface, err)
	}
	if cfg.MAC == nil {
		cfg.MAC = ifi.HardwareAddr
	}
	conn, err := packet.Listen(ifi, packet.Raw, int(ethernet.EtherTypeARP), nil)
	if err != nil {
		return fmt.Errorf("listen to ARP on %s (needs root): %w", cfg.Interface, err)
	}
	defer conn.Close()
	socket, err := control.Listen(cfg.Control)
	if err != nil {
		return err
	}
	s := &squatter{cfg: cfg, conn: conn, h: &holder{mac: cfg.MAC, freed: cfg.Except, yield: cfg.Yield}}
	return s.run(ctx, socket)
}

func (s *squatter) run(ctx context.Context, socket *control.Socket) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = s.conn.Close() })()
	parts := []func(context.Context) error{
		s.listen,
		s.schedule,
		func(ctx context.Context) error { return socket.Serve(ctx, s.tell) },
	}
	if s.cfg.StartAfter <= 0 {
		if err := s.start(); err != nil {
			return err
		}
	}
	s.cfg.Log.Info(actor.Ready, "addresses", s.cfg.Addresses.String(), "mac", s.cfg.MAC.String())
	ended := make(chan error)
	for _, part := range parts {
		go func() { err := part(ctx); cancel(); ended <- err }()
	}
	var errs []error
	for range parts {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

func (s *squatter) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	except := s.h.freed
	out := s.h.take(s.cfg.Addresses)
	s.h.freed = except
	s.cfg.Log.Info("squatting", "addresses", s.cfg.Addresses.String())
	return s.send(out...)
}

// schedule turns up late and goes away early, where that is asked for.
func (s *squatter) schedule(ctx context.Context) error {
	if s.cfg.StartAfter > 0 {
		if !wait(ctx, s.cfg.StartAfter) {
			return nil
		}
		if err := s.start(); err != nil {
			return err
		}
	}
	if s.cfg.ReleaseAfter > 0 && wait(ctx, s.cfg.ReleaseAfter) {
		return s.tell([]string{"release", s.cfg.Addresses.String()})
	}
	<-ctx.Done()
	return nil
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *squatter) tell(words []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, err := s.h.tell(words)
	if err != nil {
		return err
	}
	s.cfg.Log.Info("told", "what", words)
	return s.send(out...)
}

func (s *squatter) listen(ctx context.Context) error {
	buf := make([]byte, 1500)
	for {
		n, _, err := s.conn.ReadFrom(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listen to ARP on %s: %w", s.cfg.Interface, err)
		}
		if err := s.hear(buf[:n]); err != nil {
			return err
		}
	}
}

func (s *squatter) hear(frame []byte) error {
	var f ethernet.Frame
	var p arp.Packet
	if f.UnmarshalBinary(frame) != nil || f.EtherType != ethernet.EtherTypeARP || p.UnmarshalBinary(f.Payload) != nil {
		return nil // noise on the wire
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	what, answer := s.h.hear(&p)
	if string(what.from) == string(s.h.mac) {
		return nil
	}
	s.cfg.Log.Info(what.kind, "address", what.address.String(), "from", what.from.String(), "answered", answer != nil)
	if answer == nil {
		return nil
	}
	return s.send(answer)
}

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// send broadcasts, so that a probe's answer is seen by everyone on the segment.
func (s *squatter) send(packets ...*arp.Packet) error {
	for _, p := range packets {
		payload, err := p.MarshalBinary()
		if err != nil {
			return fmt.Errorf("write an ARP packet: %w", err)
		}
		f := ethernet.Frame{Destination: broadcast, Source: s.h.mac, EtherType: ethernet.EtherTypeARP, Payload: payload}
		frame, err := f.MarshalBinary()
		if err != nil {
			return fmt.Errorf("write an ARP frame: %w", err)
		}
		if _, err := s.conn.WriteTo(frame, &packet.Addr{HardwareAddr: broadcast}); err != nil {
			return fmt.Errorf("send ARP on %s: %w", s.cfg.Interface, err)
		}
	}
	return nil
}
