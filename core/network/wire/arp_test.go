package wire

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/network/conflict"
)

const (
	mac1 = "02:00:00:00:00:01"
	mac2 = "02:00:00:00:00:02"
	mac3 = "02:00:00:00:00:03"
)

// soon is how long a test waits for what must happen at once.
const soon = time.Minute

func probe(mac string, a netip.Addr) conflict.Packet {
	return conflict.Packet{Op: conflict.Request, SenderMAC: mac, SenderIP: netip.IPv4Unspecified(), TargetIP: a}
}

func hear(t *testing.T, a *ARP) conflict.Packet {
	t.Helper()
	select {
	case p, ok := <-a.Packets():
		if !ok {
			t.Fatalf("closed: %v", a.Err())
		}
		return p
	case <-time.After(soon):
		t.Fatal("heard nothing")
	}
	return conflict.Packet{}
}

// reach sends until want is heard: after a flap the bridge forwards only some
// time after the carrier is there.
func reach(t *testing.T, from, to *ARP, p, want conflict.Packet) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(soon)
	for {
		must(t, from.Send(p))
		select {
		case q, ok := <-to.Packets():
			if !ok {
				t.Fatalf("closed: %v", to.Err())
			}
			if q == want {
				return
			}
		case <-again.C:
		case <-deadline:
			t.Fatalf("%v was not heard", want)
		}
	}
}

func TestARPTheKernelAnswersAProbe(t *testing.T) {
	l := newLAN(t)
	one, two := l.join(mac1), l.join(mac2)
	two.add(netip.MustParsePrefix("10.254.254.7/24"))
	a := one.arp()
	want := conflict.Packet{Op: conflict.Reply, SenderMAC: mac2, SenderIP: conflict.Fallback(7), TargetMAC: mac1, TargetIP: netip.IPv4Unspecified()}
	reach(t, a, a, probe(mac1, conflict.Fallback(7)), want)
}

func TestARPWatchKeepsTheRestOut(t *testing.T) {
	l := newLAN(t)
	one, two := l.join(mac1), l.join(mac2)
	a, b := one.arp(), two.arp()
	up := probe(mac1, conflict.Fallback(1))
	reach(t, a, b, up, up)
	must(t, b.Watch(netip.MustParsePrefix("10.254.254.7/32"), netip.MustParsePrefix("192.168.0.0/16")))
	for _, s := range []string{"10.254.254.8", "10.254.254.7", "10.0.0.1", "192.168.9.9", "192.169.0.1"} {
		must(t, a.Send(probe(mac1, netip.MustParseAddr(s))))
	}
	from := probe(mac1, netip.MustParseAddr("10.0.0.1"))
	from.SenderIP = conflict.Fallback(7)
	must(t, a.Send(from))
	for _, want := range []string{"10.254.254.7", "192.168.9.9", "10.0.0.1"} {
		p := hear(t, b)
		for p == up { // from before Watch
			p = hear(t, b)
		}
		if p.TargetIP.String() != want {
			t.Errorf("heard %v, want one for %s", p, want)
		}
	}
}

// TestT7ARPSurvivesALinkFlap: down is an error when sending, and after up
// everything is as before.
func TestT7ARPSurvivesALinkFlap(t *testing.T) {
	l := newLAN(t)
	one, two := l.join(mac1), l.join(mac2)
	a, b := one.arp(), two.arp()
	for range 3 {
		must(t, one.h.LinkSetDown(one.eth))
		if err := a.Send(probe(mac1, conflict.Fallback(7))); !errors.Is(err, unix.ENETDOWN) {
			t.Fatalf("sending while down: %v", err)
		}
		must(t, one.h.LinkSetUp(one.eth))
		p, q := probe(mac1, conflict.Fallback(7)), probe(mac2, conflict.Fallback(8))
		reach(t, a, b, p, p)
		reach(t, b, a, q, q)
	}
}

func TestARPInterfaceRemoved(t *testing.T) {
	one := newLAN(t).join(mac1)
	a := one.arp()
	must(t, one.h.LinkDel(one.eth))
	select {
	case _, ok := <-a.Packets():
		if ok || a.Err() == nil {
			t.Errorf("still open: %v, %v", ok, a.Err())
		}
	case <-time.After(soon):
		t.Error("nothing was said")
	}
}

func TestARPClose(t *testing.T) {
	a := newLAN(t).join(mac1).arp()
	must(t, a.Close())
	if _, ok := <-a.Packets(); ok || a.Err() != nil {
		t.Errorf("open after Close, or %v", a.Err())
	}
	must(t, a.Close())
}

func TestOpenRefuses(t *testing.T) {
	one := newLAN(t).join(mac1)
	one.do(func() error {
		for _, name := range []string{"lo", "nothere0"} {
			if _, err := OpenARP(name); err == nil {
				t.Errorf("opened ARP on %s", name)
			}
			if _, err := OpenDHCP(name); err == nil {
				t.Errorf("opened DHCP on %s", name)
			}
		}
		return nil
	})
}

func FuzzDecodeARP(f *testing.F) {
	b, err := encodeARP(probe(mac1, conflict.Fallback(7)))
	if err != nil || len(b) != 46 {
		f.Fatal(len(b), err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodeARP(b)
		if err != nil {
			return
		}
		again, err := encodeARP(p)
		if err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		if q, err := decodeARP(again); err != nil || q != p {
			t.Fatalf("%+v became %+v, %v", p, q, err)
		}
	})
}
