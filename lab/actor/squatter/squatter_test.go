package squatter_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/mdlayher/arp"

	"github.com/g8os/g8os/lab/actor"
	"github.com/g8os/g8os/lab/actor/control"
	"github.com/g8os/g8os/lab/actor/internal/segment"
	"github.com/g8os/g8os/lab/actor/squatter"
)

func TestMain(m *testing.M) { segment.Main(m) }

func squat(t *testing.T, cfg squatter.Config) (*segment.Peer, *segment.Events) {
	t.Helper()
	peer := segment.New(t, "act0", "10.254.254.254/24")
	peer.SetAddress(t, "192.0.2.1/24") // the ARP client wants one; probes do not use it
	cfg.Interface = "act0"
	return peer, segment.Start(t, func(ctx context.Context, w io.Writer) error {
		cfg.Log = actor.Log(w)
		return squatter.Run(ctx, cfg)
	})
}

func parse(t *testing.T, text string) squatter.Addresses {
	t.Helper()
	set, err := squatter.ParseAddresses(text)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// How long one listens for an answer that must come, and for one that must not.
const answered, silent = time.Minute, 300 * time.Millisecond

// probe asks for an address as RFC 5227 does and returns who has it.
func probe(t *testing.T, peer *segment.Peer, address, sender string, patience time.Duration) (owner string) {
	t.Helper()
	peer.Do(t, func() error {
		ifi, err := net.InterfaceByName(peer.Interface)
		if err != nil {
			return err
		}
		c, err := arp.Dial(ifi)
		if err != nil {
			return err
		}
		defer c.Close()
		want := netip.MustParseAddr(address)
		p, err := arp.NewPacket(arp.OperationRequest, ifi.HardwareAddr, netip.MustParseAddr(sender), make(net.HardwareAddr, 6), want)
		if err != nil {
			return err
		}
		if err := c.WriteTo(p, net.HardwareAddr{255, 255, 255, 255, 255, 255}); err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(patience))
		for {
			got, _, err := c.Read()
			if err != nil {
				return nil // nobody answered: the address is free
			}
			if got.SenderIP == want {
				owner = got.SenderHardwareAddr.String()
				return nil
			}
		}
	})
	return owner
}

const none = "0.0.0.0"

func TestARangeIsTakenButForItsExceptions(t *testing.T) {
	mac, _ := net.ParseMAC("02:00:00:00:00:99")
	peer, events := squat(t, squatter.Config{MAC: mac, Addresses: parse(t, "10.254.254.1-253"), Except: parse(t, "10.254.254.77")})
	for address, owner := range map[string]string{
		"10.254.254.1": mac.String(), "10.254.254.253": mac.String(), "10.254.254.77": "", "10.254.253.1": "",
	} {
		patience := answered
		if owner == "" {
			patience = silent
		}
		if got := probe(t, peer, address, none, patience); got != owner {
			t.Errorf("probe for %s: answered by %q, want %q", address, got, owner)
		}
	}
	events.Wait(t, "probe", map[string]any{"address": "10.254.254.1", "answered": true})
	events.Wait(t, "probe", map[string]any{"address": "10.254.254.77", "answered": false})
}

func TestItDefendsWhatItHas(t *testing.T) {
	peer, events := squat(t, squatter.Config{Addresses: parse(t, "10.254.254.9")})
	if got := probe(t, peer, "10.254.254.9", "10.254.254.9", answered); got == "" {
		t.Error("an announcement of its address was not answered")
	}
	events.Wait(t, "announce", map[string]any{"address": "10.254.254.9", "answered": true})
}

func TestItYieldsWhenToldTo(t *testing.T) {
	peer, events := squat(t, squatter.Config{Addresses: parse(t, "10.254.254.9"), Yield: true})
	if got := probe(t, peer, "10.254.254.9", "10.254.254.9", silent); got != "" {
		t.Errorf("an announcement was answered by %s", got)
	}
	events.Wait(t, "announce", map[string]any{"answered": false})
	if got := probe(t, peer, "10.254.254.9", none, silent); got != "" {
		t.Errorf("it kept the address: %s", got)
	}
}

func TestReleasedAndTakenAgainWhileItRuns(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "c.sock")
	peer, _ := squat(t, squatter.Config{Addresses: parse(t, "10.254.254.1-253"), Control: socket})
	for _, step := range []struct {
		tell     []string
		patience time.Duration
		taken    bool
	}{{[]string{"release", "10.254.254.5"}, silent, false}, {[]string{"take", "10.254.254.5"}, answered, true}} {
		if err := control.Tell(t.Context(), socket, step.tell...); err != nil {
			t.Fatal(err)
		}
		if got := probe(t, peer, "10.254.254.5", none, step.patience); (got != "") != step.taken {
			t.Errorf("after %v a probe was answered by %q", step.tell, got)
		}
	}
	if err := control.Tell(t.Context(), socket, "release", "everything"); err == nil {
		t.Error("nonsense was accepted")
	}
}

func TestTurnsUpLateAndGoesAwayEarly(t *testing.T) {
	peer, events := squat(t, squatter.Config{Addresses: parse(t, "10.254.254.9"), StartAfter: 300 * time.Millisecond, ReleaseAfter: 300 * time.Millisecond})
	if got := probe(t, peer, "10.254.254.9", none, silent); got != "" && len(events.All()) < 2 {
		t.Errorf("it has the address before its time: %s", got)
	}
	events.Wait(t, "squatting", nil)
	events.Wait(t, "told", map[string]any{"what": fmt.Sprint([]string{"release", "10.254.254.9"})})
	if got := probe(t, peer, "10.254.254.9", none, silent); got != "" {
		t.Errorf("it has the address after it let it go: %s", got)
	}
}

func TestParseAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1":                   "10.0.0.1",
		"10.254.254.1-253, 10.0.0.9": "10.254.254.1-10.254.254.253,10.0.0.9",
		"10.0.0.250-10.0.1.5":        "10.0.0.250-10.0.1.5",
		"192.168.4.0/22":             "192.168.4.0-192.168.7.255",
		"":                           "",
	} {
		if got := parse(t, text).String(); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"10.0.0", "10.0.0.9-3", "10.0.0.1-256", "fe80::1", "fe80::/64", "a-b"} {
		if set, err := squatter.ParseAddresses(text); err == nil {
			t.Errorf("%q was read as %s", text, set)
		}
	}
}

func TestNoSuchInterface(t *testing.T) {
	err := squatter.Run(t.Context(), squatter.Config{Interface: "nowhere0"})
	if err == nil {
		t.Fatal("squats on an interface that is not there")
	}
}
