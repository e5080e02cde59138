package wire

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/network/lease"
)

const macServer = "02:00:00:00:00:fe"

// dnsmasq serves the addresses from 192.168.7.first on, until stop.
func (x *host) dnsmasq(first, last int, more ...string) (stop func()) {
	x.t.Helper()
	dir := x.t.TempDir()
	ready := filepath.Join(dir, "pid")
	args := append([]string{
		"--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--no-ping", "--dhcp-authoritative",
		"--user=root", "--interface=eth0", "--bind-interfaces", "--log-facility=" + filepath.Join(dir, "log"), "--log-dhcp",
		"--pid-file=" + ready, "--dhcp-leasefile=" + filepath.Join(dir, "leases"),
		fmt.Sprintf("--dhcp-range=192.168.7.%d,192.168.7.%d,2m", first, last),
	}, more...)
	cmd := exec.Command("dnsmasq", args...)
	x.do(cmd.Start) // a child is in the namespace of the thread that starts it
	stop = func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	x.t.Cleanup(stop)
	x.t.Cleanup(func() {
		if log, err := os.ReadFile(filepath.Join(dir, "log")); x.t.Failed() && err == nil {
			x.t.Logf("dnsmasq:\n%s", log)
		}
	})
	for end := time.Now().Add(soon); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			return stop
		} else if !errors.Is(err, fs.ErrNotExist) || time.Now().After(end) {
			x.t.Fatalf("dnsmasq did not start: %v", err)
		}
	}
}

// leaser runs a lease.Client over a real interface and keeps its address
// there. Its clock can be put forward.
type leaser struct {
	host   *host
	dhcp   *DHCP
	client *lease.Client
	ahead  time.Duration
	seen   []lease.Effect
}

func (x *host) leaser(previous *lease.Lease) *leaser {
	x.t.Helper()
	n := &leaser{host: x, dhcp: x.dhcp()}
	n.client = lease.New(lease.Config{MAC: x.mac, Hostname: "n1", Seed: 1, Timing: lease.RFC2131(), Previous: previous})
	n.perform(n.client.Start(n.now()))
	return n
}

func (n *leaser) now() time.Time { return time.Now().Add(n.ahead) }

func (n *leaser) perform(effects []lease.Effect) {
	t := n.host.t
	t.Helper()
	for _, e := range effects {
		switch e := e.(type) {
		case lease.Send:
			must(t, n.dhcp.Send(e))
		case lease.Acquired:
			n.host.add(e.Lease.Address)
		case lease.Lost:
			n.host.remove(e.Lease.Address)
		case lease.Ignored:
			t.Logf("ignored %v: %s", e.Message, e.Reason)
		}
		n.seen = append(n.seen, e)
	}
}

// until runs until an effect of type E comes, and returns it.
func until[E lease.Effect](n *leaser) E {
	t := n.host.t
	t.Helper()
	deadline := time.After(soon)
	for {
		for i, e := range n.seen {
			if want, ok := e.(E); ok {
				n.seen = n.seen[i+1:]
				return want
			}
		}
		n.seen = nil
		var due <-chan time.Time
		if next := n.client.Next(); !next.IsZero() {
			due = time.After(next.Sub(n.now()))
		}
		select {
		case m, ok := <-n.dhcp.Messages():
			if !ok {
				t.Fatalf("closed: %v", n.dhcp.Err())
			}
			n.perform(n.client.Heard(m, n.now()))
		case <-due:
			n.perform(n.client.Tick(n.now()))
		case <-deadline:
			t.Fatalf("no %T in %v, %v", *new(E), soon, n.client.State())
		}
	}
}

func dhcpLAN(t *testing.T) (server, node *host) {
	l := newLAN(t)
	server, node = l.join(macServer), l.join(mac1)
	server.add(netip.MustParsePrefix("192.168.7.1/24"))
	return server, node
}

func TestDHCPAcquire(t *testing.T) {
	server, node := dhcpLAN(t)
	server.dnsmasq(20, 30, "--dhcp-option=option:mtu,1400", "--dhcp-option=option:dns-server,9.9.9.9",
		"--dhcp-option=option:classless-static-route,10.0.0.0/8,192.168.7.2,0.0.0.0/0,192.168.7.3")
	l := until[lease.Acquired](node.leaser(nil)).Lease
	if !netip.MustParsePrefix("192.168.7.16/28").Contains(l.Address.Addr()) || l.Address.Bits() != 24 {
		t.Errorf("address %v", l.Address)
	}
	want := "[{To:10.0.0.0/8 Via:192.168.7.2 Metric:5} {To:0.0.0.0/0 Via:192.168.7.3 Metric:5}]"
	if w := l.Wanted(5); fmt.Sprintf("%+v", w.Routes) != want || w.MTU != 1400 || fmt.Sprint(w.DNS) != "[9.9.9.9]" {
		t.Errorf("wanted %+v", w)
	}
	if left := l.Expires.Sub(l.Obtained); left != 2*time.Minute || l.Server.String() != "192.168.7.1" {
		t.Errorf("from %v for %v", l.Server, left)
	}
}

// TestDHCPRenew: by unicast at T1, by broadcast at T2, and the kernel does not
// answer the server with "port unreachable".
func TestDHCPRenew(t *testing.T) {
	server, node := dhcpLAN(t)
	server.dnsmasq(20, 30)
	n := node.leaser(nil)
	first := until[lease.Acquired](n).Lease
	n.ahead += 70 * time.Second
	if s := until[lease.Send](n); s.To.String() != "192.168.7.1" || s.From != first.Address.Addr() {
		t.Errorf("renewed with %+v", s)
	}
	second := until[lease.Renewed](n)
	if second.Changed || second.Lease.Address != first.Address || second.Lease.Expires.Sub(first.Expires) < time.Minute {
		t.Errorf("renewed %+v as %+v", first, second)
	}
	n.ahead += 110 * time.Second
	if s := until[lease.Send](n); s.To.IsValid() || s.From != first.Address.Addr() {
		t.Errorf("rebound with %+v", s)
	}
	if third := until[lease.Renewed](n); third.Lease.Address != first.Address {
		t.Errorf("rebound as %+v", third)
	}
	server.do(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/snmp")
		if strings.Contains(string(b), "InType3") {
			t.Errorf("the server was told that the port is unreachable:\n%s", b)
		}
		return err
	})
}

// TestT8LeaseExpires: the server is gone; the address goes with the lease, and
// is asked for again.
func TestT8LeaseExpires(t *testing.T) {
	server, node := dhcpLAN(t)
	stop := server.dnsmasq(20, 30)
	n := node.leaser(nil)
	until[lease.Acquired](n)
	stop()
	n.ahead += 2 * time.Minute
	until[lease.Lost](n)
	if s := until[lease.Send](n); s.Message.Type != lease.Discover {
		t.Errorf("sent %+v", s)
	}
	server.dnsmasq(20, 30)
	until[lease.Acquired](n)
}

// TestDHCPRefused: the server has other addresses now, and says NAK.
func TestDHCPRefused(t *testing.T) {
	server, node := dhcpLAN(t)
	stop := server.dnsmasq(20, 30)
	n := node.leaser(nil)
	before := until[lease.Acquired](n).Lease
	stop()
	server.dnsmasq(120, 130)
	n.ahead += 70 * time.Second
	if l := until[lease.Lost](n); !strings.Contains(l.Reason, "refused") {
		t.Errorf("lost: %s", l.Reason)
	}
	after := until[lease.Acquired](n).Lease
	if x := after.Address.Addr().As4()[3]; x < 120 {
		t.Errorf("%v after %v", after.Address, before.Address)
	}
}

// TestDHCPReboot: the lease of before is asked for, and given.
func TestDHCPReboot(t *testing.T) {
	server, node := dhcpLAN(t)
	server.dnsmasq(20, 30)
	before := &lease.Lease{Address: netip.MustParsePrefix("192.168.7.27/24"), Expires: time.Now().Add(time.Hour)}
	n := node.leaser(before)
	if s := until[lease.Send](n); s.Message.Type != lease.Request {
		t.Errorf("sent %v", s.Message)
	}
	if l := until[lease.Acquired](n).Lease; l.Address != before.Address {
		t.Errorf("got %v", l.Address)
	}
	if n.client.State() != lease.Bound {
		t.Errorf("is %v", n.client.State())
	}
}

// TestDHCPDeclineAndRelease: dnsmasq does not give a declined address again.
func TestDHCPDeclineAndRelease(t *testing.T) {
	server, node := dhcpLAN(t)
	server.dnsmasq(20, 30)
	n := node.leaser(nil)
	taken := until[lease.Acquired](n).Lease
	n.perform(n.client.Decline(n.now()))
	n.ahead += 11 * time.Second
	other := until[lease.Acquired](n).Lease
	if other.Address == taken.Address {
		t.Errorf("got %v again", other.Address)
	}
	n.perform(n.client.Release(n.now()))
	if n.client.State() != lease.Idle || !n.client.Next().IsZero() {
		t.Errorf("is %v after Release", n.client.State())
	}
}

// TestT7DHCPSurvivesALinkFlap: the lease is verified and stays.
func TestT7DHCPSurvivesALinkFlap(t *testing.T) {
	server, node := dhcpLAN(t)
	server.dnsmasq(20, 30)
	n := node.leaser(nil)
	before := until[lease.Acquired](n).Lease
	must(t, node.h.LinkSetDown(node.eth))
	must(t, node.h.LinkSetUp(node.eth))
	n.perform(n.client.LinkFlapped(n.now()))
	if after := until[lease.Renewed](n); after.Lease.Address != before.Address {
		t.Errorf("%v became %v", before.Address, after.Lease.Address)
	}
}
