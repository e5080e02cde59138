package wire

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/core/network/conflict"
)

// fast is the timing of the RFC, five times as fast.
func fast() conflict.Timing {
	t := conflict.RFC5227()
	for _, d := range []*time.Duration{&t.ProbeWait, &t.ProbeMin, &t.ProbeMax, &t.AnnounceWait, &t.AnnounceInterval} {
		*d /= 5
	}
	return t
}

// claimer runs a Claim over a real interface and puts its address there.
type claimer struct {
	host  *host
	arp   *ARP
	claim *conflict.Claim
	ctx   context.Context

	mu    sync.Mutex
	taken int // times AllTaken was said
	got   chan netip.Addr
}

func (x *host) claimer(seed uint64) *claimer {
	ctx, stop := context.WithCancel(x.t.Context())
	c := &claimer{host: x, arp: x.arp(), ctx: ctx, got: make(chan netip.Addr, 10)}
	c.claim = conflict.NewClaim(conflict.ClaimConfig{MAC: x.mac, Seed: seed, Timing: fast()})
	var wg sync.WaitGroup
	wg.Go(c.run)
	x.t.Cleanup(func() { stop(); wg.Wait() })
	return c
}

func (c *claimer) run() {
	c.perform(c.claim.Start(time.Now()))
	for {
		var due <-chan time.Time
		if next := c.claim.Next(); !next.IsZero() {
			due = time.After(time.Until(next))
		}
		select {
		case <-c.ctx.Done():
			return
		case p := <-c.arp.Packets():
			c.perform(c.claim.Heard(p, time.Now()))
			continue
		case <-due:
		}
		select {
		case p := <-c.arp.Packets(): // came before we were late
			c.perform(c.claim.Heard(p, time.Now()))
		default:
			c.perform(c.claim.Tick(time.Now()))
		}
	}
}

func (c *claimer) perform(effects []conflict.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case conflict.Send:
			if err := c.arp.Send(e.Packet); err != nil {
				c.host.t.Error(err)
			}
		case conflict.Claimed:
			if err := c.host.h.AddrAdd(c.host.eth, netlinkAddr(netip.PrefixFrom(e.Address, 24))); err != nil {
				c.host.t.Error(err)
			}
			c.got <- e.Address
		case conflict.Lost:
			if err := c.host.h.AddrDel(c.host.eth, netlinkAddr(netip.PrefixFrom(e.Address, 24))); err != nil {
				c.host.t.Error(err)
			}
		case conflict.AllTaken:
			c.mu.Lock()
			c.taken++
			c.mu.Unlock()
		}
	}
}

func (c *claimer) wait(d time.Duration) netip.Addr {
	c.host.t.Helper()
	select {
	case a := <-c.got:
		return a
	case <-time.After(d):
		c.host.t.Fatalf("%s: no address in %v", c.host.mac, d)
	}
	return netip.Addr{}
}

// sameX returns MACs whose first X is the same.
func sameX(n int) (macs []string) {
	for i := 1; len(macs) < n; i++ {
		mac := fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&255)
		if len(macs) == 0 || conflict.FirstX(mac) == conflict.FirstX(macs[0]) {
			macs = append(macs, mac)
		}
	}
	return macs
}

// TestT9TwoNodesPickTheSameX, over real interfaces.
func TestT9TwoNodesPickTheSameX(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	var nodes []*claimer
	for i, mac := range sameX(3) {
		nodes = append(nodes, l.join(mac).claimer(uint64(i)))
	}
	seen := map[netip.Addr]bool{}
	for _, n := range nodes {
		seen[n.wait(soon)] = true
	}
	if len(seen) != len(nodes) {
		t.Errorf("%d nodes have %v", len(nodes), seen)
	}
}

// TestAllTaken: one host has all 253 addresses, the kernel answers for them.
// The node says so, and takes the one that frees.
func TestAllTaken(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	squatter, node := l.join(mac2), l.join(mac1)
	for x := 1; x <= conflict.FallbackCount; x++ {
		squatter.add(netip.PrefixFrom(conflict.Fallback(x), 24))
	}
	c := node.claimer(1)
	deadline := time.After(soon)
	for said := 0; said == 0; {
		select {
		case a := <-c.got:
			t.Fatalf("took %v", a)
		case <-deadline:
			t.Fatal("AllTaken was not said in time")
		case <-time.After(10 * time.Millisecond):
			c.mu.Lock()
			said = c.taken
			c.mu.Unlock()
		}
	}
	squatter.remove(netip.PrefixFrom(conflict.Fallback(99), 24))
	if a := c.wait(soon); a != conflict.Fallback(99) {
		t.Errorf("took %v", a)
	}
}

// insist uses an address again and again, as its owner would: the first packet
// after a link came up may be lost.
func insist(t *testing.T, a *ARP, use conflict.Packet) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for ticker := time.NewTicker(100 * time.Millisecond); ; {
			if err := a.Send(use); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-end:
				ticker.Stop()
				return
			case <-ticker.C:
			}
		}
	}()
	return func() { close(end); <-ended }
}

// TestLostAddressIsReplaced: somebody insists on our address.
func TestLostAddressIsReplaced(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	c := l.join(mac1).claimer(1)
	first := c.wait(soon)
	other := l.join(mac2).arp()
	use := conflict.Packet{Op: conflict.Request, SenderMAC: mac2, SenderIP: first, TargetIP: first}
	stop := insist(t, other, use)
	defer stop()
	if second := c.wait(soon); second == first {
		t.Errorf("took %v again", second)
	}
}
