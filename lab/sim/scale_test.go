package sim

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func scaled(t testing.TB, n, acs int) *World {
	t.Helper()
	top, err := Scale(n, acs)
	if err != nil {
		t.Fatal(err)
	}
	p, err := top.Plan("sim")
	if err != nil {
		t.Fatal(err)
	}
	w, err := New(p, Options{Seed: 42, Boot: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// cpu is the processor time of this process so far.
func cpu(t testing.TB) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestAThousandNodesForAnHour(t *testing.T) {
	begin := cpu(t)
	w := scaled(t, 1000, 1)
	if err := w.Eventually(context.Background(), 5*time.Minute, "all nodes managed", allManaged); err != nil {
		t.Fatal(err)
	}
	up, events := cpu(t)-begin, w.Events()
	t.Logf("up at %s, in %s, %d events", w.Elapsed(), up, events)
	if err := w.Wait(context.Background(), time.Hour-w.Elapsed()); err != nil {
		t.Fatal(err)
	}
	t.Logf("an hour in %s, %d events, hash %016x", cpu(t)-begin, w.Events(), w.Hash())
	nodes, _ := w.Nodes(context.Background())
	if !allManaged(nodes) {
		t.Error("not all are managed after an hour in which nothing happened")
	}
}
