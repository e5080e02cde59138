package dhcp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"

	"github.com/g8os/g8os/lab/actor"
	"github.com/g8os/g8os/lab/actor/control"
	"github.com/g8os/g8os/lab/actor/dhcp/decide"
	"github.com/g8os/g8os/lab/actor/internal/segment"
)

func TestMain(m *testing.M) { segment.Main(m) }

var good = decide.Scope{
	Server: netip.MustParseAddr("192.168.8.1"), Net: netip.MustParsePrefix("192.168.8.0/24"),
	First: netip.MustParseAddr("192.168.8.10"), Last: netip.MustParseAddr("192.168.8.11"),
	Router: netip.MustParseAddr("192.168.8.1"), Lease: 20 * time.Second,
}

func serve(t *testing.T, mode decide.Mode) (peer *segment.Peer, events *segment.Events, socket string) {
	t.Helper()
	peer = segment.New(t, "act0", "192.168.8.1/24")
	socket = filepath.Join(t.TempDir(), "c.sock")
	return peer, segment.Start(t, func(ctx context.Context, w io.Writer) error {
		return Run(ctx, Config{Interface: "act0", Scope: good, Mode: mode, Control: socket, Log: actor.Log(w)})
	}), socket
}

// How long a client waits for an answer that must come, and for one that must
// not.
const answered, silent = time.Minute, time.Second

// getLease asks for a lease as a client would, once.
func getLease(t *testing.T, peer *segment.Peer, patience time.Duration) (lease *nclient4.Lease, err error) {
	t.Helper()
	peer.Do(t, func() error {
		c, openErr := nclient4.New(peer.Interface, nclient4.WithTimeout(patience), nclient4.WithRetry(1))
		if openErr != nil {
			return openErr
		}
		defer c.Close()
		lease, err = c.Request(context.Background())
		return nil
	})
	return lease, err
}

func TestModesAreSwitchedWhileItRuns(t *testing.T) {
	peer, events, socket := serve(t, decide.Mode{Name: "silent"})
	if _, err := getLease(t, peer, silent); !errors.Is(err, nclient4.ErrNoResponse) {
		t.Fatalf("a silent server: got %v, want no response", err)
	}
	tell(t, socket, "normal")
	l, err := getLease(t, peer, answered)
	if err != nil || !l.ACK.YourIPAddr.Equal(net.IP{192, 168, 8, 10}) {
		t.Fatalf("a normal server: got %v, %v", l, err)
	}
	tell(t, socket, "nak")
	if _, err := getLease(t, peer, answered); err == nil || errors.Is(err, nclient4.ErrNoResponse) {
		t.Fatalf("a refusing server: got %v, want a NAK", err)
	}
	events.Wait(t, "message", map[string]any{"type": "DISCOVER", "answer": ""})
	events.Wait(t, "message", map[string]any{"type": "REQUEST", "answer": "ACK", "address": "192.168.8.10"})
	events.Wait(t, "message", map[string]any{"type": "REQUEST", "answer": "NAK"})
}

func TestSlowIsLateButComes(t *testing.T) {
	peer, _, _ := serve(t, decide.Mode{Name: "slow", Delay: 200 * time.Millisecond})
	begin := time.Now()
	if _, err := getLease(t, peer, answered); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 400*time.Millisecond {
		t.Errorf("offer and ack took %s, want twice 200 ms", took)
	}
}

func TestRenewalIsAnsweredAtTheClientsAddress(t *testing.T) {
	peer, events, socket := serve(t, decide.Mode{Name: "normal"})
	l, err := getLease(t, peer, answered)
	if err != nil {
		t.Fatal(err)
	}
	peer.SetAddress(t, "192.168.8.10/24")
	renew := func(patience time.Duration) (err error) {
		peer.Do(t, func() error {
			c, openErr := nclient4.New(peer.Interface, nclient4.WithTimeout(patience), nclient4.WithRetry(1))
			if openErr != nil {
				return openErr
			}
			defer c.Close()
			_, err = c.Renew(context.Background(), l)
			return nil
		})
		return err
	}
	if err := renew(answered); err != nil {
		t.Fatalf("renew: %v", err)
	}
	tell(t, socket, "no-renew")
	if err := renew(silent); !errors.Is(err, nclient4.ErrNoResponse) {
		t.Fatalf("a server that does not renew: got %v", err)
	}
	events.Wait(t, "mode", map[string]any{"mode": "no-renew"})
}

func tell(t *testing.T, socket string, words ...string) {
	t.Helper()
	if err := control.Tell(t.Context(), socket, words...); err != nil {
		t.Fatal(err)
	}
}

func TestWrongUse(t *testing.T) {
	if _, err := netlink.LinkByName("nowhere0"); err == nil {
		t.Fatal("there is an interface nowhere0")
	}
	backwards, short := good, good
	backwards.First = netip.MustParseAddr("192.168.8.20")
	short.Lease = time.Millisecond
	for name, cfg := range map[string]Config{
		"nowhere0":                       {Interface: "nowhere0", Scope: good},
		"want first ≤ last":              {Interface: "lo", Scope: backwards},
		"a lease of a second at least":   {Interface: "lo", Scope: short},
		"want IPv4 addresses for server": {Interface: "lo"},
	} {
		cfg.Log = actor.Log(io.Discard)
		if err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %q", err, name)
		}
	}
}
