package lease

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/g8os/g8os/core/network"
)

func TestWanted(t *testing.T) {
	anywhere := prefix("0.0.0.0/0")
	for name, c := range map[string]struct {
		lease Lease
		want  []network.Route
	}{
		"no router": {Lease{Address: prefix("192.168.7.20/24")}, nil},
		"first router only": {
			Lease{Address: prefix("192.168.7.20/24"), Routers: []netip.Addr{ip("192.168.7.1"), ip("192.168.7.2")}},
			[]network.Route{{To: anywhere, Via: ip("192.168.7.1"), Metric: 9}},
		},
		"/32 with a gateway": {
			Lease{Address: prefix("100.64.0.7/32"), Routers: []netip.Addr{ip("100.64.0.1")}},
			[]network.Route{{To: prefix("100.64.0.1/32"), Metric: 9}, {To: anywhere, Via: ip("100.64.0.1"), Metric: 9}},
		},
		"gateway elsewhere, used twice": {
			Lease{Address: prefix("192.168.7.20/24"), Routes: []network.Route{
				{To: anywhere, Via: ip("10.0.0.1")}, {To: prefix("172.16.0.0/12"), Via: ip("10.0.0.1")}}},
			[]network.Route{{To: prefix("10.0.0.1/32"), Metric: 9}, {To: anywhere, Via: ip("10.0.0.1"), Metric: 9},
				{To: prefix("172.16.0.0/12"), Via: ip("10.0.0.1"), Metric: 9}},
		},
		"RFC 3442 overrides routers": {
			Lease{Address: prefix("192.168.7.20/24"), Routers: []netip.Addr{ip("192.168.7.1")},
				Routes: []network.Route{{To: prefix("10.0.0.0/8"), Via: ip("192.168.7.9")}, {To: prefix("10.1.0.0/16")}}},
			[]network.Route{{To: prefix("10.0.0.0/8"), Via: ip("192.168.7.9"), Metric: 9}, {To: prefix("10.1.0.0/16"), Metric: 9}},
		},
		"router is ourselves": {Lease{Address: prefix("192.168.7.20/24"), Routers: []netip.Addr{ip("192.168.7.20")}}, nil},
	} {
		w := c.lease.Wanted(9)
		if !reflect.DeepEqual(w.Routes, c.want) || !w.Up || w.Addresses[0] != c.lease.Address {
			t.Errorf("%s: %+v", name, w)
		}
	}
}

func TestLeaseTerms(t *testing.T) {
	at := func(d time.Duration) time.Time { return epoch.Add(d) }
	for name, c := range map[string]struct {
		m    Message
		want Lease
	}{
		"defaults of RFC 2131": {Message{Lease: 800 * time.Second}, Lease{T1: at(400 * time.Second), T2: at(700 * time.Second), Expires: at(800 * time.Second)}},
		"as told":              {Message{Lease: time.Hour, T1: time.Minute, T2: 2 * time.Minute}, Lease{T1: at(time.Minute), T2: at(2 * time.Minute), Expires: at(time.Hour)}},
		"T1 after T2":          {Message{Lease: time.Hour, T1: 50 * time.Minute, T2: 7 * time.Minute}, Lease{T1: at(4 * time.Minute), T2: at(7 * time.Minute), Expires: at(time.Hour)}},
		"T2 after the end":     {Message{Lease: 800 * time.Second, T2: time.Hour}, Lease{T1: at(400 * time.Second), T2: at(700 * time.Second), Expires: at(800 * time.Second)}},
		"for ever":             {Message{Lease: Infinite, T1: time.Minute}, Lease{}},
	} {
		c.m.YourIP = ip("192.168.7.20")
		l := leaseFrom(c.m, epoch)
		if l.T1 != c.want.T1 || l.T2 != c.want.T2 || l.Expires != c.want.Expires {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func TestLeaseFillsIn(t *testing.T) {
	for a, want := range map[string]string{"10.0.0.5": "10.0.0.5/8", "172.16.0.5": "172.16.0.5/16", "192.168.7.5": "192.168.7.5/24"} {
		if l := leaseFrom(Message{YourIP: ip(a), Lease: time.Hour}, epoch); l.Address.String() != want {
			t.Errorf("%s without a mask: %v", a, l.Address)
		}
	}
	for mtu, want := range map[int]int{68: 0, 575: 0, 576: 576, 9000: 9000} {
		if l := leaseFrom(Message{YourIP: ip("10.0.0.5"), MTU: mtu, Lease: time.Hour}, epoch); l.MTU != want {
			t.Errorf("MTU %d became %d", mtu, l.MTU)
		}
	}
}
