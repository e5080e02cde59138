package wire

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

func TestDatagram(t *testing.T) {
	from, to := netip.MustParseAddr("192.168.7.20"), netip.MustParseAddr("255.255.255.255")
	for _, payload := range []string{"", "x", "even", "an odd one"} {
		good := encodeDatagram(from, to, []byte(payload))
		took := func(change func([]byte)) bool {
			b := append(bytes.Clone(good), 0, 0, 0) // Ethernet padding
			change(b)
			got, err := decodeDatagram(b)
			return err == nil && string(got) == payload
		}
		check := func(x uint16) func([]byte) {
			return func(b []byte) { binary.BigEndian.PutUint16(b[26:], x) }
		}
		size := udpLen + len(payload)
		for name, c := range map[string]struct {
			change func([]byte)
			want   bool
		}{
			"as it is":                 {func([]byte) {}, true},
			"without a UDP checksum":   {check(0), true},
			"with a partial one":       {check(fold(pseudo(good, size))), true},
			"with a wrong one":         {func(b []byte) { b[27] ^= 4 }, false},
			"address changed":          {func(b []byte) { b[15]++ }, false},
			"shorter than it says":     {func(b []byte) { b[2] = 9 }, false},
			"UDP longer than it is":    {func(b []byte) { b[24] = 9 }, false},
			"UDP shorter than it must": {func(b []byte) { b[24], b[25] = 0, 7 }, false},
			"not UDP":                  {func(b []byte) { b[9] = 6 }, false},
			"IPv6":                     {func(b []byte) { b[0] = 0x65 }, false},
		} {
			if got := took(c.change); got != c.want {
				t.Errorf("%q %s: taken %v", payload, name, got)
			}
		}
	}
}

func FuzzDecodeDatagram(f *testing.F) {
	f.Add(encodeDatagram(netip.IPv4Unspecified(), limitedBroadcast, []byte("payload")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := decodeDatagram(b); err == nil && len(p) > len(b)-ipLen-udpLen {
			t.Fatalf("%d bytes of payload in %d", len(p), len(b))
		}
		decodeMessage(b)
	})
}
