package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/peercert"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/etcd"
	"github.com/g8os/g8os/ac-mock/store/storetest"
)

// cluster is what a member can do beside keeping data.
type cluster interface {
	store.Store
	Members(context.Context) ([]etcd.Member, error)
	AddMember(context.Context, string) (etcd.Member, error)
	RemoveMember(context.Context, uint64) error
	Self() uint64
	Ended() <-chan struct{}
}

// ours is an address of 127.0.0.0/8 that nobody but this process uses.
func ours(n int) string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 64+pid>>16&31+32*(n&3), pid>>8&255, max(pid&255, 1))
}

// machine is where a member runs: its address, its disk and its keys.
type machine struct {
	*testing.T
	name, url string
	dir, keys string
}

func newMachine(t *testing.T, n int, first *machine) *machine {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ours(n), "0"))
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{T: t, name: fmt.Sprintf("ac%d", n), url: "https://" + l.Addr().String(), dir: t.TempDir(), keys: t.TempDir()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if first != nil {
		for _, f := range []string{"ca.key", "ca.pem"} {
			text, err := os.ReadFile(filepath.Join(first.keys, f))
			if err == nil {
				err = os.WriteFile(filepath.Join(m.keys, f), text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := peercert.Ensure(m.keys, ours(n), first == nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	return m
}

// begin starts a member; join names those that it is to join.
func (m *machine) begin(within time.Duration, join ...*machine) (cluster, error) {
	o := etcd.Options{Dir: m.dir, Name: m.name, PeerURL: m.url, PeerTLS: etcd.PeerTLS(peercert.In(m.keys))}
	for _, j := range join {
		o.Join = append(o.Join, j.url)
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	s, err := etcd.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	m.Cleanup(func() { _ = s.Close() })
	return s.(cluster), nil
}

func (m *machine) mustBegin(join ...*machine) cluster {
	m.Helper()
	s, err := m.begin(storetest.Patience, join...)
	if err != nil {
		m.Fatal(err)
	}
	return s
}

// voters waits until a cluster has so many.
func voters(t *testing.T, c cluster, want int) {
	t.Helper()
	var all []etcd.Member
	for end := time.Now().Add(storetest.Patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var err error
		if all, err = c.Members(t.Context()); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, m := range all {
			if !m.Learner && m.Name != "" {
				n++
			}
		}
		if n == want && len(all) == want {
			return
		}
	}
	t.Fatalf("want %d voters, there are %+v", want, all)
}

func put(ctx context.Context, s store.Store, key string) error {
	_, err := s.Txn(ctx, store.Txn{Then: []store.Op{store.Put(key, []byte("v"))}})
	return err
}

// One member becomes three. One of them may go and lose its disk; two may not,
// and come back.
func TestThree(t *testing.T) {
	m1 := newMachine(t, 1, nil)
	m2, m3 := newMachine(t, 2, m1), newMachine(t, 3, m1)
	s1 := m1.mustBegin()
	if err := put(t.Context(), s1, "alone"); err != nil {
		t.Fatal(err)
	}
	if _, err := m2.begin(storetest.Patience, m1); !errors.Is(err, etcd.ErrNotMember) {
		t.Fatalf("a member that nobody added joins: %v", err)
	}
	add := func(to cluster, m *machine, join ...*machine) cluster {
		t.Helper()
		if _, err := to.AddMember(t.Context(), m.url); err != nil {
			t.Fatal(err)
		}
		return m.mustBegin(join...)
	}
	s2 := add(s1, m2, m1)
	voters(t, s2, 2)
	s3 := add(s1, m3, m1, m2)
	voters(t, s3, 3)
	if kv, err := s3.Get(t.Context(), "alone"); err != nil || string(kv.Value) != "v" {
		t.Fatalf("what the first one had: %s, %v", kv.Value, err)
	}

	if err := s1.Close(); err != nil {
		t.Fatal(err)
	}
	if err := put(t.Context(), s2, "of two"); err != nil {
		t.Fatalf("two of three: %v", err)
	}
	if err := s3.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := put(ctx, s2, "of one"); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("one of three writes: %v, want ErrUnavailable", err)
	}
	if all, err := s2.Members(t.Context()); err != nil || len(all) != 3 {
		t.Errorf("one of three knows the members: %v, %v", all, err)
	}
	s1 = m1.mustBegin()
	if kv, err := s1.Get(t.Context(), "of two"); err != nil || string(kv.Value) != "v" {
		t.Fatalf("what was written without it: %s, %v", kv.Value, err)
	}

	t.Run("replace", func(t *testing.T) { replaced(t, s1, s3, m3, m1, m2) })
}

// replaced removes a member that is down and adds its machine anew, with an
// empty disk.
func replaced(t *testing.T, s cluster, gone cluster, m *machine, join ...*machine) {
	if err := s.RemoveMember(t.Context(), gone.Self()); err != nil {
		t.Fatal(err)
	}
	m.dir = t.TempDir()
	if _, err := s.AddMember(t.Context(), m.url); err != nil {
		t.Fatal(err)
	}
	again := m.mustBegin(join...)
	voters(t, again, 3)
	if kv, err := again.Get(t.Context(), "alone"); err != nil || string(kv.Value) != "v" {
		t.Fatalf("the new disk has %s, %v", kv.Value, err)
	}
	if err := s.RemoveMember(t.Context(), again.Self()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-again.Ended():
	case <-time.After(storetest.Patience):
		t.Fatal("a member that was removed goes on")
	}
}
