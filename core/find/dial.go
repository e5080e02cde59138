package find

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/api"
)

// dial opens the TCP connection, through the target's interface and from its
// address.
func (t Target) dial(ctx context.Context, u *url.URL) (net.Conn, error) {
	port := u.Port()
	if port == "" {
		port = strconv.Itoa(api.Port)
	}
	d := net.Dialer{
		Control:   bindTo(t.Interface),
		Resolver:  t.resolver(),
		KeepAlive: 15 * time.Second,
	}
	if t.Source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.Source, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("no connection to %s through %s: %w", u.Host, t.Interface, err)
	}
	return conn, nil
}

// bindTo keeps a socket to one interface, so that an answer proves that the AC
// can be reached through it and not through another.
func bindTo(iface string) func(network, address string, c syscall.RawConn) error {
	if iface == "" {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) (err error) {
		if cerr := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), iface) }); cerr != nil {
			return cerr
		}
		return err
	}
}

// resolver asks the name servers that came with the interface, through it.
func (t Target) resolver() *net.Resolver {
	if len(t.DNS) == 0 {
		return nil
	}
	var asked atomic.Uint32 // IPv4 and IPv6 are asked for at the same time
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		server := t.DNS[int(asked.Add(1)-1)%len(t.DNS)]
		d := net.Dialer{Control: bindTo(t.Interface)}
		return d.DialContext(ctx, network, netip.AddrPortFrom(server, 53).String())
	}}
}
