package links

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/network"
)

func TestGivenBackExactlyAsItWas(t *testing.T) {
	for _, up := range []string{"up", "down"} {
		t.Run(up, func(t *testing.T) {
			b := newBench(t)
			b.ip("link set eth0 " + up)
			before := b.dump()
			l := b.open()
			b.must(l.Apply("eth0", full()))

			b.has(b.ip("addr show eth0"), "mtu 1400", "192.168.7.10/24", "192.168.7.11/24", "10.9.0.1/16", "fd00:7::10/64")
			b.has(b.ip("-4 route show dev eth0"), "default via 192.168.7.1 proto 108 metric 100", "10.0.0.0/8 via 192.168.7.254 proto 108 metric 10", "172.16.0.0/12")
			b.has(b.ip("-6 route show dev eth0"), "default via fd00:7::1", "fd99::/16 via fe80::1")
			b.lacks(b.ip("addr show eth0"), "tentative")
			if want := resolvHeader + "nameserver 192.168.7.1\nnameserver fd00:7::53\nsearch grid.example\noptions rotate\n"; b.names() != want {
				t.Errorf("resolv.conf:\n%s", b.names())
			}

			b.must(l.Withdraw("eth0"))
			b.same(before, "not given back as it was")
			if len(l.record.Links) != 0 {
				t.Errorf("still recorded: %+v", l.record.Links[0])
			}
		})
	}
}

func TestApplyTwiceIsApplyOnce(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.must(l.Apply("eth0", full()))
	once := b.dump()
	heard := b.listen()
	b.must(l.Apply("eth0", full()))
	b.same(once, "a second Apply changed something")
	if heard() {
		t.Error("a second Apply touched the kernel")
	}
	b.ip("link set peer1 down") // to prove that the listener hears
	if !heard() {
		t.Error("the listener is deaf")
	}
}

func TestOthersStay(t *testing.T) {
	b := newBench(t)
	b.ip("link set eth0 up")
	b.ip("addr add 192.168.7.10/24 dev eth0") // one that we will want too
	b.ip("addr add 192.168.9.9/24 dev eth0 label eth0:x")
	b.ip("route add 10.0.0.0/8 via 192.168.7.254 metric 10")
	b.ip("route add 10.77.0.0/16 via 192.168.9.1 metric 3 proto static")
	before := b.dump()
	l := b.open()
	b.must(l.Apply("eth0", full()))
	b.must(l.Apply("eth0", network.Wanted{Up: true, Addresses: prefixes("10.9.0.1/16")}))
	b.has(b.ip("addr show eth0"), "192.168.7.10/24", "192.168.9.9/24", "10.9.0.1/16")
	b.lacks(b.ip("addr show eth0"), "192.168.7.11/24", "mtu 1400")
	b.must(l.Withdraw("eth0"))
	b.same(before, "what belongs to others was touched")
}

// TestSecondariesSurvive: the kernel takes all addresses of a subnet away with
// the first one, and all routes with the last address.
func TestSecondariesSurvive(t *testing.T) {
	b := newBench(t)
	b.ip("link set eth0 up")
	l := b.open()
	b.must(l.Apply("eth0", network.Wanted{Up: true, Addresses: prefixes("10.254.254.7/24", "10.254.254.8/24")}))
	b.ip("addr add 10.254.254.99/24 dev eth0")
	b.ip("route add 10.50.0.0/16 via 10.254.254.1")
	b.must(l.Apply("eth0", network.Wanted{Up: true, Addresses: prefixes("10.254.254.8/24")}))
	b.has(b.ip("addr show eth0"), "10.254.254.8/24", "10.254.254.99/24")
	b.has(b.ip("route show dev eth0"), "10.50.0.0/16 via 10.254.254.1")
	b.must(l.Withdraw("eth0"))
	b.has(b.ip("addr show eth0"), "10.254.254.99/24")
	b.lacks(b.ip("addr show eth0"), "10.254.254.8/24")
	b.has(b.ip("route show dev eth0"), "10.50.0.0/16 via 10.254.254.1")
}

func TestT1LoopbackIsNeverTouched(t *testing.T) {
	b := newBench(t)
	before := b.dump()
	l := b.open()
	for _, err := range []error{
		l.Apply("lo", full()), l.Withdraw("lo"), l.Apply("lo", network.Wanted{Up: true}),
	} {
		if !errors.Is(err, ErrLoopback) {
			t.Errorf("got %v", err)
		}
	}
	b.must(l.Apply("eth0", full()))
	b.must(l.WithdrawAll())
	b.same(before, "lo was touched")
	b.has(b.ip("addr show lo"), "127.0.0.1/8")
}

func TestT4RoutesAndNamesGoWithTheLayer(t *testing.T) {
	b := newBench(t)
	before := b.dump()
	l := b.open()
	b.must(l.Apply("eth0", full()))
	next := network.Wanted{Up: true, Addresses: prefixes("10.254.254.9/24")}
	b.must(l.Apply("eth0", next))
	b.lacks(b.ip("route show table all dev eth0"), "192.168.7", "172.16", "proto 108")
	b.lacks(b.ip("-6 route show dev eth0"), "fd00:7::", "fd99")
	if b.names() != "search grid.example\nnameserver 9.9.9.9\noptions rotate\n" {
		t.Errorf("resolv.conf:\n%s", b.names())
	}
	b.must(l.WithdrawAll())
	b.same(before, "not given back")
}

// TestKilled stops a process at its most awkward moments, and lets the next
// one take everything back from the record alone.
func TestKilled(t *testing.T) {
	t.Run("after", func(t *testing.T) {
		b := newBench(t)
		before := b.dump()
		b.must(b.open().Apply("eth0", full()))
		b.must(b.open().Apply("eth1", network.Wanted{Up: true}))
		b.must(b.open().WithdrawAll())
		b.same(before, "the next process left something")
	})
	t.Run("before the kernel", func(t *testing.T) {
		b := newBench(t)
		before := b.dump()
		l := b.open()
		k, err := l.find("eth0")
		b.must(err)
		s, err := l.look(k)
		b.must(err)
		b.must(l.intend(s, full())) // and no further
		b.must(b.open().WithdrawAll())
		b.same(before, "the next process left something")
	})
	t.Run("within", func(t *testing.T) {
		b := newBench(t)
		before := b.dump()
		l := b.open()
		k, err := l.find("eth0")
		b.must(err)
		s, err := l.look(k)
		b.must(err)
		b.must(l.intend(s, full()))
		b.must(l.setUp(k))
		b.must(l.addAddress(k, full().Addresses[0]))
		b.must(l.addAddress(k, full().Addresses[3]))
		next := b.open()
		b.must(next.Apply("eth0", full()))
		b.must(next.Withdraw("eth0"))
		b.same(before, "the next process left something")
	})
	t.Run("without its record", func(t *testing.T) {
		b := newBench(t)
		b.must(b.open().Apply("eth0", full()))
		b.must(os.WriteFile(b.opts.Record, []byte("{"), 0o600))
		b.must(b.open().Apply("eth0", network.Wanted{Up: true}))
		b.lacks(b.ip("route show table all"), "proto 108") // the mark tells
	})
}

// TestRecordOfAnotherBoot must not take an address for ours that somebody else
// has put there since.
func TestRecordOfAnotherBoot(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.must(l.Apply("eth0", full()))
	l.record.Where = "another boot"
	b.must(l.save())
	next := b.open()
	b.must(next.WithdrawAll())
	b.has(b.ip("addr show eth0"), "192.168.7.10/24")
	if b.names() != "search grid.example\nnameserver 9.9.9.9\noptions rotate\n" {
		t.Errorf("resolv.conf, which survives a boot:\n%s", b.names())
	}
}

func TestPartialApply(t *testing.T) {
	b := newBench(t)
	b.ip("link set eth0 up")
	b.must(os.WriteFile("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", []byte("1"), 0o644))
	b.ip("addr add 192.168.7.99/24 dev eth0")
	b.ip("route add default via 192.168.7.98 metric 100")
	before := b.dump()
	l := b.open()
	err := l.Apply("eth0", full())
	for _, want := range []string{"fd00:7::10/64: IPv6 is disabled on this interface (net.ipv6.conf.eth0.disable_ipv6)", "0.0.0.0/0 via 192.168.7.1 metric 100: another one with this metric is there"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if !errors.Is(err, ErrNotOurs) {
		t.Errorf("%v does not tell whose route it is", err)
	}
	b.has(b.ip("addr show eth0"), "192.168.7.10/24", "10.9.0.1/16")
	b.has(b.ip("route show dev eth0"), "10.0.0.0/8 via 192.168.7.254", "default via 192.168.7.98")
	b.must(l.Withdraw("eth0"))
	b.same(before, "not given back")
}

func TestNoSuchInterface(t *testing.T) {
	b := newBench(t)
	l := b.open()
	if err := l.Apply("eth9", full()); !errors.Is(err, ErrNoInterface) {
		t.Errorf("got %v", err)
	}
	b.must(l.Withdraw("eth9"))
	b.must(l.Apply("eth1", full()))
	b.ip("link del eth1") // a stick is pulled
	b.must(l.Withdraw("eth1"))
	b.has(b.names(), "9.9.9.9")
}

// TestSameMetricTwice: two leases, each with a default route.
func TestSameMetricTwice(t *testing.T) {
	b := newBench(t)
	before := b.dump()
	l := b.open()
	first := network.Wanted{Addresses: prefixes("10.1.0.5/24", "fd01::5/64"), Routes: []network.Route{route("0.0.0.0/0", "10.1.0.1", 100), route("::/0", "fd01::1", 100)}}
	b.must(l.Apply("eth0", first))
	second := network.Wanted{Addresses: prefixes("10.2.0.5/24", "fd02::5/64"), Routes: []network.Route{route("0.0.0.0/0", "10.2.0.1", 100), route("::/0", "fd02::1", 100)}}
	err := l.Apply("eth1", second)
	if err == nil || !strings.Contains(err.Error(), "::/0 via fd02::1 metric 100: another interface has one with this metric") {
		t.Errorf("got %v", err)
	}
	b.has(b.ip("route get 9.9.9.9"), "via 10.1.0.1 dev eth0")
	b.has(b.ip("route get 9.9.9.9 oif eth1"), "via 10.2.0.1 dev eth1")
	b.must(l.Withdraw("eth0"))
	b.has(b.ip("route get 9.9.9.9"), "via 10.2.0.1 dev eth1")
	b.must(l.Apply("eth1", second)) // now there is room
	b.must(l.WithdrawAll())
	b.same(before, "something was left")
}

func TestGatewayBeyondThePrefix(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.must(l.Apply("eth0", network.Wanted{Addresses: prefixes("10.1.0.5/32"), Routes: []network.Route{route("0.0.0.0/0", "10.9.0.1", 5)}}))
	b.has(b.ip("route show dev eth0"), "default via 10.9.0.1", "onlink")
	b.must(l.Apply("eth0", network.Wanted{Addresses: prefixes("10.1.0.5/32"), Routes: []network.Route{route("0.0.0.0/0", "10.9.0.2", 5)}}))
	b.has(b.ip("route show dev eth0"), "default via 10.9.0.2")
}

func TestList(t *testing.T) {
	b := newBench(t)
	b.ip("link add br0 type bridge")
	b.ip("link add vx0 type vxlan id 5 dstport 4789")
	b.ip("link set peer1 master br0")
	b.ip("tuntap add tap0 mode tap")
	b.ip("addr add 10.0.0.1/24 dev eth0")
	l := b.open()
	list, err := l.List()
	b.must(err)
	got := map[string]network.Link{}
	for n, x := range list {
		got[x.Name] = x
		if n > 0 && list[n-1].Index >= x.Index {
			t.Error("not sorted by index")
		}
	}
	for name, physical := range map[string]bool{"lo": false, "br0": false, "vx0": false, "peer1": false, "peer0": true, "eth0": true, "tap0": true} {
		if x, ok := got[name]; !ok || x.Physical != physical {
			t.Errorf("%s: %+v, want physical %v", name, x, physical)
		}
	}
	if !got["peer1"].Card || got["br0"].Card || got["lo"].Card || got["vx0"].Card {
		t.Error("a port of a bridge is a card all the same, and what is made is none")
	}
	e := got["eth0"]
	if e.Up || e.Carrier || e.Kind != "veth" || fmt.Sprint(e.Addresses) != "[10.0.0.1/24]" || len(e.MAC) != 17 || e.MTU != 1500 {
		t.Errorf("eth0 is %+v", e)
	}
}

func TestRaiseShowsTheCarrier(t *testing.T) {
	b := newBench(t)
	before := b.dump()
	l := b.open()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	changes, err := l.Watch(ctx)
	b.must(err)
	b.must(l.Apply("eth0", network.Wanted{Up: true}))
	b.wait(ctx, l, changes, "eth0", true)
	b.ip("link set peer0 down")
	b.wait(ctx, l, changes, "eth0", false)
	b.ip("link set peer0 up")
	b.wait(ctx, l, changes, "eth0", true)
	b.must(l.Withdraw("eth0"))
	b.same(before, "not set down again")
	cancel()
	for range changes { // closed at the end
	}
}

// wait reads notices until an interface has, or has not, a carrier.
func (b *bench) wait(ctx context.Context, l *Links, changes <-chan struct{}, name string, carrier bool) {
	b.Helper()
	for {
		list, err := l.List()
		b.must(err)
		for _, x := range list {
			if x.Name == name && x.Carrier == carrier {
				return
			}
		}
		select {
		case <-changes:
		case <-ctx.Done():
			b.Fatalf("carrier of %s is still not %v: %v", name, carrier, ctx.Err())
		}
	}
}

// TestNothingChangesWithoutARecord: what cannot be recorded is not done.
func TestNothingChangesWithoutARecord(t *testing.T) {
	b := newBench(t)
	before := b.dump()
	l := b.open()
	l.opts.Record = b.opts.Record + "/is/no/folder"
	if err := l.Apply("eth0", full()); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v", err)
	}
	b.same(before, "changed")
}

// TestSeveralAtOnce is for the race detector.
func TestSeveralAtOnce(t *testing.T) {
	b := newBench(t)
	before := b.dump()
	l := b.open()
	errs := make(chan error, 4)
	for n := range cap(errs) {
		go func() {
			var err error
			name := fmt.Sprintf("eth%d", n%2)
			for i := range 10 {
				p := prefixes(fmt.Sprintf("10.%d.%d.1/24", n%2, i))
				err = errors.Join(err, l.Apply(name, network.Wanted{Addresses: p, DNS: addrs("10.0.0.1")}))
				_, lerr := l.List()
				err = errors.Join(err, lerr)
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		b.must(<-errs)
	}
	b.must(l.WithdrawAll())
	b.same(before, "something was left")
}

// TestIPv6IsUsableAtOnce where the kernel would probe for a second first.
func TestIPv6IsUsableAtOnce(t *testing.T) {
	b := newBench(t)
	b.must(os.WriteFile("/proc/sys/net/ipv6/conf/eth0/accept_dad", []byte("1"), 0o644))
	b.ip("link set eth0 up")
	b.ip("addr add fd00:8::1/64 dev eth0")
	b.has(b.ip("addr show eth0"), "fd00:8::1/64 scope global tentative") // it does
	l := b.open()
	b.must(l.Apply("eth0", network.Wanted{Addresses: prefixes("fd00:7::1/64")}))
	b.has(b.ip("addr show eth0"), "fd00:7::1/64 scope global nodad")
	b.must(l.Withdraw("eth0"))
}
