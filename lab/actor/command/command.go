// Package command is the command line of the actors: g8lab actor KIND.
//
// A program embeds Actor in its kong grammar and binds a context.Context. An
// actor runs in the network namespace it is started in, writes its events as
// JSON lines to stdout or --record, and ends with exit code 0 on SIGTERM and
// SIGINT (through the context).
package command

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/g8os/g8os/lab/actor"
	"github.com/g8os/g8os/lab/actor/control"
	"github.com/g8os/g8os/lab/actor/dhcp"
	"github.com/g8os/g8os/lab/actor/dhcp/decide"
	"github.com/g8os/g8os/lab/actor/portal"
	"github.com/g8os/g8os/lab/actor/squatter"
	"github.com/g8os/g8os/lab/actor/stranger"
)

// Actor is the grammar of g8lab actor.
type Actor struct {
	Squatter Squatter `cmd:"" help:"Have addresses: answer ARP for them and defend them."`
	Stranger Stranger `cmd:"" help:"Stand where an AC should be, and note everything one is sent."`
	Portal   Portal   `cmd:"" help:"Be a captive portal: DHCP, DNS and a web page in answer to everything."`
	DHCP     DHCP     `cmd:"" name:"dhcp" help:"Be a DHCP server that misbehaves."`
	Tell     Tell     `cmd:"" help:"Tell a running actor something, over its --control socket."`
}

// Output is where events go.
type Output struct {
	Record string `type:"path" placeholder:"FILE" help:"Append the events (JSON lines) to this file instead of writing them to stdout."`
}

// open returns the writer for events and what closes it.
func (o Output) open() (io.Writer, func() error, error) {
	if o.Record == "" {
		return os.Stdout, func() error { return nil }, nil
	}
	f, err := os.OpenFile(o.Record, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("record the events: %w", err)
	}
	return f, f.Close, nil
}

// Squatter is g8lab actor squatter.
type Squatter struct {
	Output
	Interface    string        `short:"i" default:"eth0" help:"Interface to squat on."`
	Addresses    string        `arg:"" help:"What to have: 10.254.254.7, 10.254.254.1-253, 10.0.0.0/24, separated by commas."`
	Except       string        `help:"What not to have, out of these."`
	MAC          string        `name:"mac" help:"Whom to pretend to be; default the interface's own."`
	StartAfter   time.Duration `help:"Turn up after this time, and take what is in use by then."`
	ReleaseAfter time.Duration `help:"Go away again after this time."`
	Yield        bool          `help:"Give an address up when somebody else announces it."`
	Control      string        `type:"path" placeholder:"SOCKET" help:"Take 'take ADDRESSES' and 'release ADDRESSES' on this socket."`
}

// Run squats until ctx ends.
func (c *Squatter) Run(ctx context.Context) error {
	cfg := squatter.Config{Interface: c.Interface, StartAfter: c.StartAfter, ReleaseAfter: c.ReleaseAfter, Yield: c.Yield, Control: c.Control}
	var err error
	if cfg.Addresses, err = squatter.ParseAddresses(c.Addresses); err != nil {
		return err
	}
	if cfg.Except, err = squatter.ParseAddresses(c.Except); err != nil {
		return err
	}
	if c.MAC != "" {
		if cfg.MAC, err = net.ParseMAC(c.MAC); err != nil {
			return fmt.Errorf("--mac: %w", err)
		}
	}
	w, closeRecord, err := c.open()
	if err != nil {
		return err
	}
	defer closeRecord()
	cfg.Log = actor.Log(w)
	return squatter.Run(ctx, cfg)
}

// Stranger is g8lab actor stranger.
type Stranger struct {
	Output
	Listen string        `default:"10.254.254.254:8966" help:"Address and port to stand at; an interface must have the address."`
	Kind   stranger.Kind `default:"self-signed" enum:"self-signed,impostor,http" help:"self-signed, impostor (an AC's identity from a CA of its own) or http (no TLS)."`
	Grid   string        `default:"lab" help:"The grid an impostor names."`
	Reply  string        `help:"Body of every answer."`
}

// Run stands there until ctx ends.
func (c *Stranger) Run(ctx context.Context) error {
	w, closeRecord, err := c.open()
	if err != nil {
		return err
	}
	defer closeRecord()
	return stranger.Run(ctx, stranger.Config{Listen: c.Listen, Kind: c.Kind, Grid: c.Grid, Reply: c.Reply, Log: actor.Log(w)})
}

// Scope is what a DHCP server hands out.
type Scope struct {
	Interface string        `short:"i" default:"eth0" help:"Interface to serve; its address comes from --server."`
	Server    netip.Prefix  `required:"" placeholder:"ADDRESS/BITS" help:"Own address and mask, for example 192.168.8.1/24. The interface must have it."`
	Pool      string        `required:"" placeholder:"FIRST-LAST" help:"What to hand out: 192.168.8.10-99."`
	Router    netip.Addr    `help:"Router to hand out; default none."`
	DNS       []netip.Addr  `name:"dns" help:"DNS servers to hand out."`
	Lease     time.Duration `default:"2m" help:"Lease time; T1 and T2 are half and seven eighths of it."`
	Nowhere   netip.Prefix  `default:"198.51.100.0/24" help:"The network that mode nowhere hands out."`
}

func (s Scope) scope() (decide.Scope, error) {
	pool, err := squatter.ParseAddresses(s.Pool)
	if err != nil {
		return decide.Scope{}, fmt.Errorf("--pool: %w", err)
	}
	first, last, ok := pool.Range()
	if !ok {
		return decide.Scope{}, fmt.Errorf("--pool %q: want one range, for example 192.168.8.10-99", s.Pool)
	}
	return decide.Scope{
		Server: s.Server.Addr(), Net: s.Server.Masked(), First: first, Last: last,
		Router: s.Router, DNS: s.DNS, Lease: s.Lease, Nowhere: s.Nowhere,
	}, nil
}

// DHCP is g8lab actor dhcp.
type DHCP struct {
	Output
	Scope   `embed:""`
	Mode    []string `default:"normal" sep:" " help:"How to begin: ${dhcp_modes}; slow and in-use take an argument: --mode 'slow 5s'."`
	Control string   `type:"path" placeholder:"SOCKET" help:"Take a mode on this socket, to switch while it runs."`
}

// Run serves until ctx ends.
func (c *DHCP) Run(ctx context.Context) error {
	scope, err := c.scope()
	if err != nil {
		return err
	}
	mode, err := decide.ParseMode(c.Mode...)
	if err != nil {
		return fmt.Errorf("--mode: %w", err)
	}
	w, closeRecord, err := c.open()
	if err != nil {
		return err
	}
	defer closeRecord()
	return dhcp.Run(ctx, dhcp.Config{Interface: c.Interface, Scope: scope, Mode: mode, Control: c.Control, Log: actor.Log(w)})
}

// Portal is g8lab actor portal.
type Portal struct {
	Output
	Scope `embed:""`
}

// Run is a portal until ctx ends.
func (c *Portal) Run(ctx context.Context) error {
	scope, err := c.scope()
	if err != nil {
		return err
	}
	w, closeRecord, err := c.open()
	if err != nil {
		return err
	}
	defer closeRecord()
	return portal.Run(ctx, portal.Config{Interface: c.Interface, Scope: scope, Log: actor.Log(w)})
}

// Tell is g8lab actor tell.
type Tell struct {
	Socket string   `arg:"" type:"path" help:"The actor's --control socket."`
	Words  []string `arg:"" help:"What to tell it, for example: silent, or: release 10.254.254.7"`
}

// Run returns once what was told is in force.
func (c *Tell) Run(ctx context.Context) error { return control.Tell(ctx, c.Socket, c.Words...) }

// Vars are what the help texts refer to, for kong.Vars.
func Vars() map[string]string { return map[string]string{"dhcp_modes": decide.ModeNames()} }
