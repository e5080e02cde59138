package enrol

import (
	"fmt"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func limits() Limits {
	return Limits{SourceRate: 2, SourceBurst: 3, RecordRate: 1, RecordBurst: 1, BadProofs: 3, LockSeconds: 60, MaxTracked: 8}
}

func allowed(f func(string, time.Time) bool, who string, at time.Time, n int) (yes int) {
	for range n {
		if f(who, at) {
			yes++
		}
	}
	return yes
}

func TestSourceBucket(t *testing.T) {
	l := NewLimiter(limits())
	for _, step := range []struct {
		at   time.Duration
		who  string
		want int
	}{
		{0, "a", 3}, {0, "a", 0}, {0, "b", 3}, {time.Second, "a", 2}, {time.Hour, "a", 3}, {time.Minute, "a", 0 /* the clock went back */},
	} {
		if got := allowed(l.Source, step.who, noon.Add(step.at), 5); got != step.want {
			t.Errorf("after %v %s may ask %d times, want %d", step.at, step.who, got, step.want)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	l := NewLimiter(limits())
	for i := range 1000 {
		l.Source(fmt.Sprint(i), noon)
		l.BadProof(fmt.Sprint(i), noon)
	}
	if n, m := len(l.sources.index), l.proofs.order.Len(); n != 8 || m != 8 {
		t.Fatalf("%d sources and %d nodes remembered, want 8", n, m)
	}
}

func TestLockAfterBadProofs(t *testing.T) {
	l := NewLimiter(limits())
	for i, want := range []bool{false, false, true, false} {
		if got := l.BadProof("n", noon); got != want {
			t.Fatalf("bad proof %d locks: %t, want %t", i+1, got, want)
		}
	}
	if !l.Locked("n", noon.Add(59*time.Second)) || l.Locked("n", noon.Add(60*time.Second)) || l.Locked("m", noon) {
		t.Fatal("want a lock of n alone for 60 s")
	}
	later := noon.Add(3 * time.Minute)
	if l.BadProof("n", later) || l.BadProof("n", later.Add(2*time.Minute)) || l.BadProof("n", later.Add(4*time.Minute)) {
		t.Fatal("bad proofs minutes apart lock")
	}
	l.BadProof("q", noon)
	l.BadProof("q", noon)
	l.BadProof("q", noon)
	if l.Release("q"); l.Locked("q", noon) {
		t.Fatal("released, and still locked")
	}
}

// A clock that was ahead leaves no lock behind that is longer than a lock, and
// no bad proofs that are not forgotten in time.
func TestLockOfAClockThatWasAhead(t *testing.T) {
	l := NewLimiter(limits())
	ahead := noon.Add(240 * time.Hour)
	for range 3 {
		l.BadProof("locked", ahead)
	}
	l.BadProof("tried", ahead)
	l.BadProof("tried", ahead)
	if !l.Locked("locked", noon) || l.Locked("tried", noon) {
		t.Fatal("want a lock of the one that was locked, and of no other")
	}
	if l.Locked("locked", noon.Add(time.Minute)) {
		t.Error("locked for longer than a lock")
	}
	if l.BadProof("tried", noon.Add(2*time.Minute)) {
		t.Error("bad proofs minutes apart lock")
	}
}

func TestSourceOf(t *testing.T) {
	for peer, want := range map[string]string{
		"192.168.7.10:4711": "192.168.7.10", "[::ffff:192.168.7.10]:1": "192.168.7.10",
		"[2001:db8:1:2:3:4:5:6]:443": "2001:db8:1:2::/64", "[fe80::1%eth0]:1": "fe80::/64", "pipe": "pipe",
	} {
		if got := SourceOf(peer); got != want {
			t.Errorf("%s: %s, want %s", peer, got, want)
		}
	}
}
