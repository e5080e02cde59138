package decide

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

var (
	start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ann   = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	bob   = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

func testServer(mode ...string) *Server {
	m, err := ParseMode(mode...)
	if err != nil {
		panic(err)
	}
	s, err := New(Scope{
		Server: netip.MustParseAddr("192.168.8.1"), Net: netip.MustParsePrefix("192.168.8.0/24"),
		First: netip.MustParseAddr("192.168.8.10"), Last: netip.MustParseAddr("192.168.8.11"),
		Router: netip.MustParseAddr("192.168.8.1"), Lease: 20 * time.Second,
	}, m)
	if err != nil {
		panic(err)
	}
	return s
}

// message is a client's: discover, request ADDR, renew ADDR, decline ADDR,
// release ADDR.
func message(t *testing.T, from net.HardwareAddr, line string) *dhcpv4.DHCPv4 {
	t.Helper()
	kind, address, _ := strings.Cut(line, " ")
	ip := net.ParseIP(address)
	mods := map[string][]dhcpv4.Modifier{
		"discover": {dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover)},
		"request":  {dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(ip))},
		"renew":    {dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest), dhcpv4.WithClientIP(ip)},
		"decline":  {dhcpv4.WithMessageType(dhcpv4.MessageTypeDecline), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(ip))},
		"release":  {dhcpv4.WithMessageType(dhcpv4.MessageTypeRelease), dhcpv4.WithClientIP(ip)},
		"other":    {dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(ip)), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IP{192, 168, 8, 99}))},
	}[kind]
	m, err := dhcpv4.New(append(mods, dhcpv4.WithHwAddr(from))...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func say(t *testing.T, s *Server, from net.HardwareAddr, line string, now time.Time) string {
	t.Helper()
	reply, err := s.Answer(message(t, from, line), now)
	if err != nil {
		t.Fatal(err)
	}
	if reply == nil {
		return "nothing"
	}
	if reply.MessageType() == dhcpv4.MessageTypeNak {
		return "NAK"
	}
	ones, _ := reply.SubnetMask().Size()
	return fmt.Sprintf("%s %s/%d via %v for %s", reply.MessageType(), reply.YourIPAddr, ones, reply.Router()[0], reply.IPAddressLeaseTime(0))
}

func TestModes(t *testing.T) {
	const good = " 192.168.8.10/24 via 192.168.8.1 for 20s"
	for mode, script := range map[string][]string{
		"normal": {
			"discover", "OFFER" + good, "request 192.168.8.10", "ACK" + good, "renew 192.168.8.10", "ACK" + good,
			"request 192.168.8.200", "NAK", "other 192.168.8.10", "nothing", "decline 192.168.8.10", "nothing",
			"discover", "OFFER 192.168.8.11/24 via 192.168.8.1 for 20s", "request 192.168.8.10", "NAK",
		},
		"silent":     {"discover", "nothing", "request 192.168.8.10", "nothing", "renew 192.168.8.10", "nothing"},
		"slow 2s":    {"discover", "OFFER" + good, "request 192.168.8.10", "ACK" + good},
		"nak":        {"discover", "OFFER" + good, "request 192.168.8.10", "NAK", "renew 192.168.8.10", "NAK"},
		"offer-only": {"discover", "OFFER" + good, "request 192.168.8.10", "nothing"},
		"nowhere": {"discover", "OFFER 198.51.100.10/24 via 198.51.100.1 for 20s",
			"request 198.51.100.10", "ACK 198.51.100.10/24 via 198.51.100.1 for 20s",
			"renew 198.51.100.10", "ACK 198.51.100.10/24 via 198.51.100.1 for 20s"},
		"wrong-subnet": {"discover", "OFFER 192.168.8.10/32 via 198.51.100.1 for 20s", "request 192.168.8.10", "ACK 192.168.8.10/32 via 198.51.100.1 for 20s"},
		"exhausted":    {"discover", "nothing", "request 192.168.8.10", "NAK"},
		"no-renew":     {"discover", "OFFER" + good, "request 192.168.8.10", "ACK" + good, "renew 192.168.8.10", "nothing"},
		"nak-renew":    {"discover", "OFFER" + good, "request 192.168.8.10", "ACK" + good, "renew 192.168.8.10", "NAK"},
		"in-use 192.168.8.77": {"discover", "OFFER 192.168.8.77/24 via 192.168.8.1 for 20s",
			"request 192.168.8.77", "ACK 192.168.8.77/24 via 192.168.8.1 for 20s", "decline 192.168.8.77", "nothing",
			"discover", "OFFER 192.168.8.77/24 via 192.168.8.1 for 20s"},
	} {
		t.Run(mode, func(t *testing.T) {
			s := testServer(strings.Fields(mode)...)
			for i := 0; i < len(script); i += 2 {
				if got := say(t, s, ann, script[i], start); got != script[i+1] {
					t.Errorf("%s: got %q, want %q", script[i], got, script[i+1])
				}
			}
		})
	}
}

func TestEveryModeIsTested(t *testing.T) {
	if got, want := len(modes), 11; got != want {
		t.Errorf("there are %d modes and %d tests of them", got, want)
	}
}

func TestThePoolIsSharedOut(t *testing.T) {
	s := testServer("normal")
	carol := net.HardwareAddr{2, 0, 0, 0, 0, 3}
	for i, step := range []struct {
		from  net.HardwareAddr
		line  string
		after time.Duration
		want  string
	}{
		{ann, "request 192.168.8.10", 0, "ACK 192.168.8.10/24 via 192.168.8.1 for 20s"},
		{bob, "request 192.168.8.10", 0, "NAK"},
		{bob, "discover", 0, "OFFER 192.168.8.11/24 via 192.168.8.1 for 20s"},
		{bob, "request 192.168.8.11", 0, "ACK 192.168.8.11/24 via 192.168.8.1 for 20s"},
		{carol, "discover", 19 * time.Second, "nothing"},
		{carol, "discover", 21 * time.Second, "OFFER 192.168.8.10/24 via 192.168.8.1 for 20s"},
		{bob, "release 192.168.8.11", 0, "nothing"},
		{ann, "discover", 0, "OFFER 192.168.8.10/24 via 192.168.8.1 for 20s"},
		{carol, "discover", 0, "OFFER 192.168.8.11/24 via 192.168.8.1 for 20s"},
	} {
		if got := say(t, s, step.from, step.line, start.Add(step.after)); got != step.want {
			t.Errorf("step %d, %s: got %q, want %q", i+1, step.line, got, step.want)
		}
	}
}

func TestParseMode(t *testing.T) {
	for text, want := range map[string]string{
		"dance": "want one of normal, silent", "": "want one of", "slow": "wants an argument", "slow soon": "invalid duration",
		"in-use here": "unable to parse IP", "silent 5s": "takes no argument", "slow 1s 2s": "want one of",
	} {
		if _, err := ParseMode(strings.Fields(text)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"silent", "slow 5s", "in-use 192.168.8.9"} {
		if m, err := ParseMode(strings.Fields(text)...); err != nil || m.String() != text {
			t.Errorf("%q: got %q, %v", text, m, err)
		}
	}
}
