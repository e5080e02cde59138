package registry

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/ca"
	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store/etcd"
	"github.com/g8os/g8os/core/api"
)

// faster is the share of pairs in which one sample of a took less time than one
// of b (the statistic of Mann and Whitney, 1947): 0.5 when nobody can tell them
// apart. Load on the machine makes it no worse: it only blurs.
func faster(a, b []time.Duration) float64 {
	b = slices.Sorted(slices.Values(b))
	pairs := 0
	for _, d := range a {
		at, _ := slices.BinarySearch(b, d+1)
		pairs += len(b) - at
	}
	return float64(pairs) / float64(len(a)*len(b))
}

func TestFaster(t *testing.T) {
	ms := func(all ...time.Duration) []time.Duration { return all }
	for _, c := range []struct {
		a, b []time.Duration
		want float64
	}{
		{ms(1, 2), ms(3, 4), 1}, {ms(3, 4), ms(1, 2), 0}, {ms(1, 4), ms(2, 3), 0.5},
	} {
		if got := faster(c.a, c.b); got != c.want {
			t.Errorf("%v against %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// asker makes one claim that is refused, for always the same reason.
type asker struct {
	reason string
	ask    func() error
}

// refusals are claims that are refused for every reason that says something of
// a record, of an AC with a real store.
func refusals(t *testing.T, r *Registry) map[string]asker {
	t.Helper()
	pending, held, gone, other, open := newMachine(t, 1), newMachine(t, 2), newMachine(t, 3), newMachine(t, 4), newMachine(t, 5)
	for _, m := range []*machine{pending, held, gone, open} {
		if _, err := m.unlock(r); !errors.Is(err, api.ErrRefused) {
			t.Fatal(err)
		}
		flush(t, r)
	}
	operate := func(_ api.Node, err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	operate(r.Approve(t.Context(), admin, string(open.id())))
	operate(r.Quarantine(t.Context(), admin, string(held.id()), "a test"))
	operate(r.Retire(t.Context(), admin, string(gone.id())))
	other.claim.MACs = open.claim.MACs
	stranger := newMachine(t, 99)
	unlock := func(m *machine) func() error {
		return func() error { _, err := m.unlock(r); return err }
	}
	return map[string]asker{
		"unknown":     {enrol.ReasonTooMany, unlock(stranger)},
		"pending":     {enrol.ReasonPending, unlock(pending)},
		"quarantined": {enrol.ReasonQuarantined, unlock(held)},
		"retired":     {enrol.ReasonRetired, unlock(gone)},
		"other key":   {enrol.ReasonOtherKey, unlock(other)},
	}
}

// Who is refused cannot tell from the time that it took whether its MAC address
// is known, waits, is quarantined, retired, or somebody else's.
func TestRefusalsTakeTheSameTime(t *testing.T) {
	const samples, most = 300, 0.2
	r := onEtcd(t, enrol.Policy{Mode: enrol.ModeApprove, MaxPending: 4})
	all := refusals(t, r)
	crowd(t, r, 3)
	for name, a := range all {
		wantRefused(t, r, a.ask(), a.reason)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	late := all["pending"].ask
	all["what the test would find"] = asker{ask: func() error {
		for range 8 { // about as many reads again
			_, _ = r.o.Store.Get(t.Context(), "nothing")
		}
		return late()
	}}
	took := map[string][]time.Duration{}
	names := slices.Sorted(maps.Keys(all))
	random := rand.New(rand.NewPCG(1, 1))
	for range samples * len(names) {
		name := names[random.IntN(len(names))]
		began := time.Now()
		err := all[name].ask()
		took[name] = append(took[name], time.Since(began))
		if !errors.Is(err, api.ErrRefused) {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		p := faster(took[name], took["pending"])
		t.Logf("%-25s faster than a pending one in %.2f of the pairs", name, p)
		found := p < 0.5-most || p > 0.5+most
		if found != (all[name].reason == "") {
			t.Errorf("%s: told apart %t: %.2f", name, found, p)
		}
	}
}

// crowd has so many more machines wait for approval.
func crowd(t *testing.T, r *Registry, machines int) {
	t.Helper()
	for n := range machines {
		m := newMachine(t, 50+n)
		_, err := m.unlock(r)
		if !errors.Is(err, api.ErrRefused) {
			t.Fatal(err)
		}
		flush(t, r)
	}
}

// onEtcd is an AC with a store on disk, which counts nobody's requests.
func onEtcd(t *testing.T, p enrol.Policy) *Registry {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c, err := ca.Open(t.Context(), ca.Options{Store: s, Seal: sealer, Grid: "lab", RootKey: dir + "/keys/root.pem", DataDir: dir + "/data"})
	if err != nil {
		t.Fatal(err)
	}
	limits := enrol.DefaultLimits()
	limits.SourceRate, limits.SourceBurst, limits.RecordRate, limits.RecordBurst = 1e9, 1e9, 1e9, 1e9
	r, err := Open(t.Context(), Options{Store: s, Seal: sealer, CA: c, Grid: "lab", Policy: p, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = c.Close(); _ = s.Close() })
	return r
}
