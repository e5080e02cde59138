package decide

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/g8os/g8os/core/network/lease"
)

// client is number n of many.
func client(n int) lease.Message {
	return lease.Message{Type: lease.Discover, XID: uint32(n), MAC: fmt.Sprintf("02:00:00:00:%02x:%02x", n>>8, n&255), Hostname: "node"}
}

// lan is a pool of nearly 4096 addresses.
func lan() Scope {
	return Scope{
		Server: netip.MustParseAddr("10.8.0.1"), Net: netip.MustParsePrefix("10.8.0.0/20"),
		First: netip.MustParseAddr("10.8.0.2"), Last: netip.MustParseAddr("10.8.15.254"),
		Router: netip.MustParseAddr("10.8.0.1"), DNS: []netip.Addr{netip.MustParseAddr("10.8.0.1")}, Lease: time.Hour,
	}
}

// join takes a client from nothing to its lease.
func join(t testing.TB, s *Server, m lease.Message, now time.Time) lease.Message {
	t.Helper()
	offer, ok, err := s.Hear(m, now)
	if err != nil || !ok || offer.Type != lease.Offer {
		t.Fatalf("%v: got %v, %t, %v, want an offer", m, offer, ok, err)
	}
	m.Type, m.Asked, m.ServerID = lease.Request, offer.YourIP, offer.ServerID
	ack, ok, err := s.Hear(m, now)
	if err != nil || !ok || ack.Type != lease.Ack {
		t.Fatalf("%v: got %v, %t, %v, want an ack", m, ack, ok, err)
	}
	return ack
}

func TestHear(t *testing.T) {
	s, err := New(lan(), Mode{Name: "normal"})
	if err != nil {
		t.Fatal(err)
	}
	ack := join(t, s, client(7), start)
	if ack.XID != 7 || ack.MAC != client(7).MAC || ack.YourIP != lan().First || ack.Bits != 20 || ack.Lease != time.Hour ||
		ack.T1 != 30*time.Minute || len(ack.Routers) != 1 || len(ack.DNS) != 1 {
		t.Errorf("got %+v", ack)
	}
	s.SetMode(Mode{Name: "silent"})
	if m, ok, err := s.Hear(client(8), start); ok || err != nil {
		t.Errorf("a silent server: got %v, %v", m, err)
	}
	if _, ok, err := s.Hear(lease.Message{Type: lease.Discover, MAC: "?"}, start); ok || err == nil {
		t.Error("a message without a MAC address is answered")
	}
}

func TestManyClients(t *testing.T) {
	s, err := New(lan(), Mode{Name: "normal"})
	if err != nil {
		t.Fatal(err)
	}
	const clients = 4093
	owner := map[netip.Addr]int{}
	for n := range clients {
		a := join(t, s, client(n), start).YourIP
		if other, taken := owner[a]; taken {
			t.Fatalf("client %d gets %v, which client %d has", n, a, other)
		}
		owner[a] = n
	}
	if m, ok, err := s.Hear(client(clients), start); ok || err != nil {
		t.Fatalf("the pool is exhausted: got %v, %v", m, err)
	}
	if a := join(t, s, client(99), start.Add(2*time.Hour)).YourIP; owner[a] != 99 {
		t.Errorf("client 99 comes back and gets %v, which client %d had", a, owner[a])
	}
	if a := join(t, s, client(clients), start.Add(2*time.Hour)).YourIP; a != lan().First {
		t.Errorf("a new client gets %v, want the first address whose lease is over", a)
	}
}

// TestLeasesAgainstAList plays random steps on a small pool, and on the plain
// list of who has what that leases is an index of.
func TestLeasesAgainstAList(t *testing.T) {
	first, last := netip.MustParseAddr("10.8.0.250"), netip.MustParseAddr("10.8.1.3")
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		l, list, now := newLeases(first, last), newList(first, last), start
		for step := range 400 {
			client := fmt.Sprint("client ", random.IntN(14))
			a := first
			for range random.IntN(11) { // one of them is not of the pool
				a = a.Next()
			}
			switch random.IntN(8) {
			case 0:
				l.release(a, client)
				list.release(a, client)
			case 1:
				if random.IntN(20) == 0 {
					l.decline(a)
					list[a] = slot{declined: true}
				}
			case 2:
				now = now.Add(time.Duration(random.IntN(15)) * time.Second)
			case 3, 4, 5:
				if got, want := l.free(a, client, now), list.free(a, client, now); got != want {
					t.Fatalf("seed %d, step %d: %v is free for %s: %t, want %t", seed, step, a, client, got, want)
				} else if got {
					until := now.Add(time.Duration(10+random.IntN(20)) * time.Second)
					l.grant(a, client, until)
					list[a] = slot{client: client, until: until}
				}
			default:
				got, ok := l.pick(client, netip.Addr{}, now)
				if want := list.pick(first, last, client, now); got != want || ok != want.IsValid() {
					t.Fatalf("seed %d, step %d: %s gets %v, want %v", seed, step, client, got, want)
				}
			}
		}
	}
}

// list is a pool of which nothing is remembered but what each address is.
type list map[netip.Addr]slot

func newList(first, last netip.Addr) list {
	l := list{}
	for a := first; !last.Less(a); a = a.Next() {
		l[a] = slot{}
	}
	return l
}

func (l list) free(a netip.Addr, client string, now time.Time) bool {
	s, ok := l[a]
	return ok && !s.declined && (s.client == "" || s.client == client || now.After(s.until))
}

func (l list) release(a netip.Addr, client string) {
	if l[a].client == client {
		l[a] = slot{}
	}
}

func (l list) pick(first, last netip.Addr, client string, now time.Time) netip.Addr {
	for a := first; !last.Less(a); a = a.Next() {
		if l[a].client == client {
			return a
		}
	}
	for a := first; !last.Less(a); a = a.Next() {
		if l.free(a, client, now) {
			return a
		}
	}
	return netip.Addr{}
}

// BenchmarkHear is one message of the last client of a full pool: a discover,
// which looks through the pool, or a renewal.
func BenchmarkHear(b *testing.B) {
	s, err := New(lan(), Mode{Name: "normal"})
	if err != nil {
		b.Fatal(err)
	}
	for n := range 4093 {
		join(b, s, client(n), start)
	}
	discover, renew := client(4092), client(4092)
	renew.Type, renew.ClientIP = lease.Request, lan().Last
	for name, m := range map[string]lease.Message{"discover": discover, "renew": renew} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok, err := s.Hear(m, start); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
