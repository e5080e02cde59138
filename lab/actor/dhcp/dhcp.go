// Package dhcp is a DHCP server that misbehaves on demand: silent, slow,
// refusing, handing out what leads nowhere, out of addresses, not renewing,
// offering what is taken. Two of them on one segment make the foreign server.
//
// It promises that a mode is in force for every message that arrives after the
// switch was acknowledged, and that in mode normal it is a correct server for
// the clients of one segment (RFC 2131). It keeps no lease on disk and speaks
// to no relay.
package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"

	"github.com/g8os/g8os/lab/actor"
	"github.com/g8os/g8os/lab/actor/control"
	"github.com/g8os/g8os/lab/actor/dhcp/decide"
)

// Config says where a server serves, what, and how it begins to behave.
type Config struct {
	Interface string // must have an address
	Scope     decide.Scope
	Mode      decide.Mode
	Control   string       // socket that takes a mode; may be empty
	Log       *slog.Logger // message (type, from, address, answer), mode
}

// Run serves until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	s, err := Open(cfg)
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

// Server is an open server: clients that ask already wait for its answer.
type Server struct {
	cfg    Config
	conn   *net.UDPConn
	socket *control.Socket
	late   sync.WaitGroup // answers that are still to go out

	mu     sync.Mutex
	server *decide.Server
}

// Open opens the server's sockets. Serve has to follow.
func Open(cfg Config) (*Server, error) {
	server, err := decide.New(cfg.Scope, cfg.Mode)
	if err != nil {
		return nil, err
	}
	conn, err := server4.NewIPv4UDPConn(cfg.Interface, &net.UDPAddr{Port: dhcpv4.ServerPort})
	if err != nil {
		return nil, fmt.Errorf("serve DHCP on interface %q: %w", cfg.Interface, err)
	}
	socket, err := control.Listen(cfg.Control)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Server{cfg: cfg, conn: conn, socket: socket, server: server}, nil
}

// Serve answers until ctx ends, and closes what Open opened.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.late.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = s.conn.Close() })()
	s.cfg.Log.Info(actor.Ready, "interface", s.cfg.Interface, "mode", s.cfg.Mode.String())
	ended := make(chan error)
	for _, part := range []func(context.Context) error{
		s.listen,
		func(ctx context.Context) error { return s.socket.Serve(ctx, s.tell) },
	} {
		go func() { err := part(ctx); cancel(); ended <- err }()
	}
	return errors.Join(<-ended, <-ended)
}

func (s *Server) tell(words []string) error {
	mode, err := decide.ParseMode(words...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server.SetMode(mode)
	s.cfg.Log.Info("mode", "mode", mode.String())
	return nil
}

func (s *Server) listen(ctx context.Context) error {
	buf := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFromUDP(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listen to DHCP on %s: %w", s.cfg.Interface, err)
		}
		m, err := dhcpv4.FromBytes(buf[:n])
		if err != nil || m.OpCode != dhcpv4.OpcodeBootRequest {
			s.cfg.Log.Info("garbage", "from", from.String(), "bytes", n)
			continue
		}
		s.hear(ctx, m)
	}
}

func (s *Server) hear(ctx context.Context, m *dhcpv4.DHCPv4) {
	s.mu.Lock()
	mode := s.server.Mode()
	reply, err := s.server.Answer(m, time.Now())
	s.mu.Unlock()
	log := s.cfg.Log.With("type", m.MessageType().String(), "from", m.ClientHWAddr.String())
	if err != nil || reply == nil {
		log.Info("message", "answer", "", "error", text(err), "requested", m.RequestedIPAddress().String())
		return
	}
	log.Info("message", "answer", reply.MessageType().String(), "address", reply.YourIPAddr.String())
	s.late.Go(func() {
		if !pause(ctx, mode.Delay) {
			return
		}
		if _, err := s.conn.WriteToUDP(reply.ToBytes(), to(m, reply)); err != nil && ctx.Err() == nil {
			log.Error("send", "error", err.Error())
		}
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// to is where an answer goes: a client that has its address is answered there,
// everybody else is shouted at (RFC 2131, section 4.1).
func to(m, reply *dhcpv4.DHCPv4) *net.UDPAddr {
	if m.ClientIPAddr.IsUnspecified() || reply.MessageType() == dhcpv4.MessageTypeNak {
		return &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ClientPort}
	}
	return &net.UDPAddr{IP: m.ClientIPAddr, Port: dhcpv4.ClientPort}
}
