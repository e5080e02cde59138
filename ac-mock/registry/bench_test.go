package registry

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/etcd"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
)

func openFor(b *testing.B, s store.Store) *Registry {
	b.Helper()
	sealer, err := seal.New(make([]byte, seal.KeySize))
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	c, err := ca.Open(b.Context(), ca.Options{Store: s, Seal: sealer, Grid: "g", RootKey: dir + "/keys/root.pem", DataDir: dir + "/data"})
	if err != nil {
		b.Fatal(err)
	}
	limits := enrol.DefaultLimits()
	limits.SourceRate, limits.SourceBurst, limits.RecordRate, limits.RecordBurst = 1e9, 1e9, 1e9, 1e9
	r, err := Open(b.Context(), Options{Store: s, Seal: sealer, CA: c, Grid: "g", Policy: enrol.Policy{Mode: enrol.ModeOpen}, Limits: limits})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = r.Close(); _ = c.Close(); _ = s.Close() })
	return r
}

func benchClaim(n, counter int) (api.Claim, []byte) {
	return api.Claim{
		MACs: []string{fmt.Sprintf("02:00:00:%02x:%02x:%02x", n>>16&255, n>>8&255, n&255)}, Hostname: fmt.Sprint("node-", n),
		BootID: fmt.Sprintf("%032x", n), Counter: uint64(counter), Generations: []uint32{1},
	}, fmt.Appendf(nil, "%032d", n)
}

// BenchmarkUnlock offers 200 unlocks a second, at random instants, to embedded
// etcd, and prints how long they took. The bound is a p99 of 30 ms.
func BenchmarkUnlock(b *testing.B) {
	const nodes, rate = 500, 200
	s, err := etcd.Open(b.Context(), etcd.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	r := openFor(b, s)
	for n := range nodes {
		c, device := benchClaim(n, 1)
		c.Generations = nil
		if _, err := r.Unlock(b.Context(), "192.0.2.1:1", device, c); err != nil {
			b.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	took := make([]time.Duration, b.N)
	random := rand.New(rand.NewPCG(1, 1))
	b.ResetTimer()
	for i := range b.N {
		time.Sleep(time.Duration(random.ExpFloat64() * float64(time.Second) / rate))
		wg.Go(func() {
			c, device := benchClaim(i%nodes, 2+i/nodes)
			began := time.Now()
			if _, err := r.Unlock(context.Background(), "192.0.2.1:1", device, c); err != nil {
				b.Error(err)
			}
			took[i] = time.Since(began)
		})
	}
	wg.Wait()
	slices.Sort(took)
	ms := func(q float64) float64 {
		return float64(took[min(len(took)-1, int(q*float64(len(took))))]) / float64(time.Millisecond)
	}
	b.ReportMetric(ms(0.5), "ms-p50")
	b.ReportMetric(ms(0.99), "ms-p99")
	b.ReportMetric(ms(1), "ms-max")
}

// BenchmarkRefuse is what a hostile client costs.
func BenchmarkRefuse(b *testing.B) {
	r := openFor(b, memory.New(memory.Options{}))
	c, device := benchClaim(1, 1)
	c.BootID = "?"
	for b.Loop() {
		_, _ = r.Unlock(b.Context(), "192.0.2.1:1", device, c)
	}
}

// BenchmarkIdleNode prints the memory that one node takes in the book.
func BenchmarkIdleNode(b *testing.B) {
	const nodes = 5000
	for b.Loop() {
		book := newBook(func(api.NodeID) {})
		before := heap()
		for n := range nodes {
			fill(b, book, n)
		}
		b.ReportMetric(float64(heap()-before)/nodes, "B/node")
		runtime.KeepAlive(book)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func fill(b *testing.B, book *book, n int) {
	c, device := benchClaim(n, 1)
	c.Generations = nil
	o := enrol.Decide(enrol.Known{}, c, device, enrol.Policy{Mode: enrol.ModeOpen}, time.Unix(0, 0))
	o.Record.Certificate = &enrol.Certificate{Serial: fmt.Sprintf("%032x", n)}
	value := encode(b, o.Record)
	for key, v := range map[string][]byte{
		keyRecord + string(o.Record.ID): value,
		keyMAC + c.MACs[0]:              []byte(o.Record.ID),
		keyDevice + deviceKey(device):   []byte(o.Record.ID),
	} {
		if err := book.apply(store.KV{Key: key, Value: v, Modified: 1}); err != nil {
			b.Fatal(err)
		}
	}
	book.seen(o.Record.ID, api.Whereabouts{Phase: managed, Way: "dhcp", Interface: "eth0", Address: "192.168.7.10/24"}, true, time.Unix(0, 0))
}

// BenchmarkStepped is what one step of a simulated AC costs beside many nodes.
func BenchmarkStepped(b *testing.B) {
	const many = 5000
	g, nodes := newStepped(b, 1, 1), make([]*steppedNode, many)
	r := g.acs[0].r
	for n := range nodes {
		nodes[n] = newSteppedNode(b, n)
		if _, err := nodes[n].unlock(r); err != nil {
			b.Fatal(err)
		}
	}
	for name, step := range map[string]func(m *steppedNode) error{
		"unlock":      func(m *steppedNode) error { _, err := m.unlock(r); return err },
		"certificate": func(m *steppedNode) error { _, err := m.certify(r); return err },
		"heartbeat":   func(m *steppedNode) error { r.Seen(m.id(), api.Whereabouts{Phase: managed}, true); return nil },
		"news":        func(*steppedNode) error { return r.Take(g.store.Since("", r.Revision()-10)) }, // of 11 revisions
		"reload":      func(*steppedNode) error { return r.Reload(b.Context()) },
		"settle":      func(*steppedNode) error { g.now = g.now.Add(writeBackEvery); r.Settle(b.Context()); return nil },
	} {
		b.Run(name, func(b *testing.B) {
			i := 0
			if err := r.Reload(b.Context()); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				g.now = g.now.Add(time.Second)
				if err := step(nodes[i%many]); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
