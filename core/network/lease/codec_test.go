package lease

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/g8os/g8os/core/network"
)

func ip(s string) netip.Addr       { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// full is a message in which no field is zero.
func full() Message {
	return Message{
		Type: Ack, XID: 0xdeadbeef, MAC: mac, Secs: 7, ClientIP: ip("192.168.7.20"), YourIP: ip("192.168.7.21"),
		ClientID: []byte{1, 2, 0, 0, 0, 0, 1}, Hostname: "n1", Asked: ip("192.168.7.22"), ServerID: ip("192.168.7.1"),
		Text: "no", Bits: 25, Routers: []netip.Addr{ip("192.168.7.1"), ip("192.168.7.2")}, DNS: []netip.Addr{ip("9.9.9.9")},
		Routes: []network.Route{{To: prefix("0.0.0.0/0"), Via: ip("192.168.7.1")}, {To: prefix("10.32.0.0/11")}, {To: prefix("10.0.0.1/32"), Via: ip("192.168.7.3")}},
		MTU:    1400, Lease: time.Hour, T1: time.Minute, T2: 2 * time.Minute,
	}
}

func TestCodecKeepsEveryField(t *testing.T) {
	want := full()
	for v, i := reflect.ValueOf(want), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Fatalf("field %s is not tested", v.Type().Field(i).Name)
		}
	}
	infinite := want
	infinite.Lease = Infinite
	for _, m := range []Message{want, infinite, {Type: Discover, XID: 1, MAC: mac}} {
		b, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) < 300 { // RFC 1542, 2.1: relays may drop shorter ones
			t.Errorf("%v: %d bytes", m.Type, len(b))
		}
		if got, err := Decode(b); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("got  %+v, %v\nwant %+v", got, err, m)
		}
	}
}

func TestCodecRefuses(t *testing.T) {
	if _, err := Encode(Message{Type: Discover, MAC: "nonsense"}); err == nil {
		t.Error("encoded a MAC address that is none")
	}
	good, err := Encode(full())
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"empty":           func([]byte) []byte { return nil },
		"short":           func(b []byte) []byte { return b[:239] },
		"no magic cookie": func(b []byte) []byte { b[236] = 0; return b },
		"token ring":      func(b []byte) []byte { b[1] = 6; return b },
		"no message type": func(b []byte) []byte { return append(b[:240], 255) },
	} {
		if m, err := Decode(spoil(append([]byte(nil), good...))); err == nil {
			t.Errorf("%s: decoded as %+v", name, m)
		}
	}
}

// FuzzDecode: nothing makes it fail but with an error; what it took in and
// the client accepts is a lease that can be put on an interface.
func FuzzDecode(f *testing.F) {
	for _, m := range []Message{full(), {Type: Offer, MAC: mac}, {Type: Nak, MAC: mac, Text: "x"}} {
		b, err := Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil || nonsense(m, epoch, epoch) != "" {
			return
		}
		l := leaseFrom(m, epoch)
		if !l.Address.IsValid() || l.expired(epoch) || !l.Expires.IsZero() && (l.T1.After(l.T2) || l.T2.After(l.Expires)) {
			t.Fatalf("%+v became %+v", m, l)
		}
		for _, r := range l.Wanted(1).Routes {
			if !r.To.IsValid() {
				t.Fatalf("%+v: route %+v", m, r)
			}
		}
	})
}
