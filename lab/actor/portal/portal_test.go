package portal_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"

	"github.com/g8os/g8os/lab/actor"
	"github.com/g8os/g8os/lab/actor/dhcp/decide"
	"github.com/g8os/g8os/lab/actor/internal/segment"
	"github.com/g8os/g8os/lab/actor/portal"
)

func TestMain(m *testing.M) { segment.Main(m) }

// guest is a peer that has done what the portal's DHCP said.
func guest(t *testing.T) (*segment.Peer, *segment.Events) {
	t.Helper()
	peer := segment.New(t, "act0", "172.20.0.1/24")
	events := segment.Start(t, func(ctx context.Context, w io.Writer) error {
		return portal.Run(ctx, portal.Config{Interface: "act0", Log: actor.Log(w), Scope: decide.Scope{
			Server: netip.MustParseAddr("172.20.0.1"), Net: netip.MustParsePrefix("172.20.0.0/24"),
			First: netip.MustParseAddr("172.20.0.10"), Last: netip.MustParseAddr("172.20.0.20"), Lease: time.Minute,
		}})
	})
	peer.Do(t, func() error {
		c, err := nclient4.New(peer.Interface, nclient4.WithTimeout(10*time.Second), nclient4.WithRetry(3))
		if err != nil {
			return err
		}
		defer c.Close()
		l, err := c.Request(context.Background())
		if err != nil {
			return err
		}
		if dns := l.ACK.DNS(); len(dns) != 1 || !dns[0].Equal(net.IP{172, 20, 0, 1}) {
			return fmt.Errorf("DNS servers are %v, want the portal", dns)
		}
		return follow(peer.Interface, l.ACK.YourIPAddr, l.ACK.Router()[0])
	})
	return peer, events
}

func follow(ifname string, address, router net.IP) error {
	l, err := netlink.LinkByName(ifname)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: address, Mask: net.CIDRMask(24, 32)}}); err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: router})
}

func get(c net.Conn) (string, error) {
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return c, nil },
	}}
	resp, err := client.Get("http://ac1.grid.example/node/hello")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.Status + " " + string(body), err
}

func TestEveryAddressIsThePortal(t *testing.T) {
	peer, events := guest(t)
	for _, address := range []string{"172.20.0.1", "192.168.7.2", "203.0.113.77"} {
		for port, secure := range map[string]bool{"80": false, "443": true, "8966": true} {
			c := peer.Dial(t, "tcp", net.JoinHostPort(address, port))
			if secure {
				c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			}
			if got, err := get(c); err != nil || got != "200 OK "+portal.Page {
				t.Errorf("%s port %s: got %q, %v", address, port, got, err)
			}
			events.Wait(t, "request", map[string]any{"port": port, "path": "/node/hello"})
		}
	}
}

func TestEveryNameIsThePortal(t *testing.T) {
	peer, events := guest(t)
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return peer.Dial(t, "udp", "9.9.9.9:53"), nil // a server of the guest's own choice
	}}
	got, err := resolver.LookupNetIP(t.Context(), "ip4", "ac1.grid.example.")
	if err != nil || len(got) != 1 || got[0] != netip.MustParseAddr("172.20.0.1") {
		t.Errorf("got %v, %v, want the portal", got, err)
	}
	events.Wait(t, "dns", map[string]any{"name": "ac1.grid.example."})
}

func TestOnTheSegmentItIsItselfOnly(t *testing.T) {
	peer, _ := guest(t)
	peer.Do(t, func() error {
		_, err := net.DialTimeout("tcp", "172.20.0.77:80", time.Minute) // ARP gives up after three seconds
		if !errors.Is(err, syscall.EHOSTUNREACH) {
			return fmt.Errorf("172.20.0.77, which nobody has: got %v, want no route to host", err)
		}
		return nil
	})
}

func TestItLeavesNothingBehind(t *testing.T) {
	t.Run("a guest", func(t *testing.T) { guest(t) })
	rules, err := netlink.RuleList(netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if r.IifName == "act0" {
			t.Errorf("a rule was left behind: %v", r)
		}
	}
	left, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: 8966}, netlink.RT_FILTER_TABLE)
	if err != nil || len(left) > 0 {
		t.Errorf("routes were left behind: %v, %v", left, err)
	}
}
