package jobs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs/delivery"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
)

// Any AC takes a job, the one that has the session hands it out, all know the
// result.
func TestAnyACTakesAJob(t *testing.T) {
	g := newGrid(t, 3, 2)
	g.nodes[0].attach(g.acs[0])
	g.nodes[1].attach(g.acs[1])
	g.acs[2].mustMake(order("j", api.JobRequest{}, g.nodes...))
	g.settle(always)
	for _, a := range g.acs {
		for _, n := range g.nodes {
			g.whole(a, "j", n)
		}
	}
}

// A node that goes to another AC in the middle of a job goes on there, also when
// the first AC is gone for good.
func TestNodeMovesMidJob(t *testing.T) {
	g := newGrid(t, 2, 1)
	n := g.nodes[0]
	n.attach(g.acs[0])
	g.acs[0].mustMake(order("j", api.JobRequest{}, n))
	g.settle(never)
	n.say("j", api.Frame{Type: api.FrameOutput, Stream: "stdout", Data: []byte("one")})
	g.settle(never)
	g.acs[0].kill()
	n.attach(g.acs[1])
	g.settle(never)
	if n.jobs["j"].started != 1 {
		t.Fatalf("started %d times", n.jobs["j"].started)
	}
	n.say("j", api.Frame{Type: api.FrameOutput, Stream: "stdout", Data: []byte("two")})
	n.exit("j", api.Frame{State: api.JobSuccess})
	g.settle(never)
	if r := g.acs[1].run("j", n); r.State != api.JobSuccess {
		t.Errorf("%+v", r)
	}
	if got := g.pieces("j", n); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("pieces %v", got)
	}
}

// A job that began, and that its node knows nothing of any more, is lost and not
// begun again: also when only the other AC was told that it had begun.
func TestForgottenByItsNodeIsLost(t *testing.T) {
	g := newGrid(t, 2, 1)
	n := g.nodes[0]
	n.attach(g.acs[0])
	g.acs[0].mustMake(order("j", api.JobRequest{}, n))
	g.settle(never)
	n.leave()
	n.jobs, n.order = map[string]*nodeJob{}, nil
	n.attach(g.acs[1])
	g.settle(never)
	if r := g.acs[0].run("j", n); r.State != api.JobLost || n.jobs["j"].started != 0 {
		t.Errorf("%+v, started %d times", r, n.jobs["j"].started)
	}
}

// Jobs of one queue run one after the other, in the order of their making.
func TestSerialQueue(t *testing.T) {
	g := newGrid(t, 2, 1)
	n := g.nodes[0]
	for i := range 10 {
		g.acs[i%2].mustMake(order(fmt.Sprint("j", 9-i), api.JobRequest{Queue: "q", TTLMS: 60_000}, n))
	}
	for i := range 10 {
		n.attach(g.acs[i%2])
		g.settle(always)
	}
	if n.most != 1 {
		t.Errorf("%d jobs ran at a time", n.most)
	}
	if got := strings.Join(n.order, " "); got != "j9 j8 j7 j6 j5 j4 j3 j2 j1 j0" {
		t.Errorf("ran in the order %s", got)
	}
}

// Of a job with Parallel, that many nodes have a turn, over all ACs.
func TestParallelOverACs(t *testing.T) {
	g := newGrid(t, 3, 9)
	for i, n := range g.nodes {
		n.attach(g.acs[i%3])
	}
	g.acs[0].mustMake(order("j", api.JobRequest{Parallel: 2}, g.nodes...))
	for range 200 {
		for _, a := range g.acs {
			a.turn()
		}
		running := 0
		for _, n := range g.nodes {
			n.turn(never)
			if j := n.jobs["j"]; j != nil && !j.ended {
				running++
			}
		}
		if running > 2 {
			t.Fatalf("%d nodes run it at a time", running)
		}
		for _, n := range g.nodes {
			n.turn(func(string) bool { return running == 2 || g.now.Sub(t0) > 5*time.Second })
		}
		g.now = g.now.Add(50 * time.Millisecond)
	}
	g.settle(always)
	for _, n := range g.nodes {
		g.whole(g.acs[1], "j", n)
	}
}

func TestExpiry(t *testing.T) {
	g := newGrid(t, 2, 2)
	away, late := g.nodes[0], g.nodes[1]
	g.acs[0].mustMake(order("j", api.JobRequest{TTLMS: 60_000}, away, late))
	g.now = g.now.Add(59 * time.Second)
	late.attach(g.acs[1])
	g.settle(never)
	g.now = g.now.Add(2 * time.Second)
	for _, a := range g.acs {
		a.q.Tick(t.Context())
	}
	g.settle(always)
	if r := g.acs[0].run("j", away); r.State != api.JobExpired || r.Error == "" {
		t.Errorf("%+v", r)
	}
	g.whole(g.acs[0], "j", late)
	away.attach(g.acs[0])
	g.settle(always)
	if away.jobs["j"] != nil {
		t.Error("what has expired is handed out")
	}
}

func TestCancel(t *testing.T) {
	g := newGrid(t, 2, 3)
	running, waits, away := g.nodes[0], g.nodes[1], g.nodes[2]
	running.attach(g.acs[0])
	waits.attach(g.acs[1])
	g.acs[0].mustMake(order("first", api.JobRequest{Queue: "q"}, waits))
	g.settle(never)
	g.acs[0].mustMake(order("j", api.JobRequest{Queue: "q", TTLMS: 60_000}, g.nodes...))
	g.settle(never)
	if _, err := g.acs[1].q.Cancel(t.Context(), "operator", "j", ""); err != nil {
		t.Fatal(err)
	}
	g.settle(never)
	for _, a := range g.acs {
		a.q.Tick(t.Context())
	}
	g.settle(never)
	for n, want := range map[*node]api.JobState{running: api.JobKilled, waits: api.JobCancelled, away: api.JobCancelled} {
		if r := g.acs[0].run("j", n); r.State != want {
			t.Errorf("%s: %+v, want %s", n.id, r, want)
		}
	}
	if _, err := g.acs[0].q.Cancel(t.Context(), "operator", "k", ""); !errors.Is(err, ErrUnknown) {
		t.Errorf("cancel of a job that there is not: %v", err)
	}
}

// The node's own word counts for more than what an AC decided without it.
func TestNodesWordOvertakes(t *testing.T) {
	g := newGrid(t, 2, 1)
	n := g.nodes[0]
	n.attach(g.acs[0])
	g.acs[0].mustMake(order("j", api.JobRequest{TTLMS: 1000}, n))
	g.acs[0].turn()
	n.at = nil // it was told, and that AC dies before it heard that
	inbox := n.inbox
	g.acs[0].kill()
	g.now = g.now.Add(time.Minute)
	g.acs[1].turn()
	g.acs[1].q.Tick(t.Context())
	g.settle(never)
	if r := g.acs[1].run("j", n); r.State != api.JobExpired {
		t.Fatalf("%+v", r)
	}
	n.inbox = inbox
	n.turn(always)
	n.attach(g.acs[1])
	g.settle(always)
	g.whole(g.acs[1], "j", n)
}

func TestMakeAgain(t *testing.T) {
	g := newGrid(t, 2, 1)
	n := g.nodes[0]
	n.attach(g.acs[0])
	g.acs[0].mustMake(order("j", api.JobRequest{}, n))
	g.acs[0].mustMake(order("j", api.JobRequest{}, n))
	g.acs[1].mustMake(order("j", api.JobRequest{}, n)) // it has not heard of it yet
	if _, err := g.acs[1].q.Make(t.Context(), order("j", api.JobRequest{Queue: "q"}, n)); !errors.Is(err, ErrTaken) {
		t.Errorf("another request with its id: %v", err)
	}
	g.settle(always)
	g.whole(g.acs[0], "j", n)
	if _, err := g.acs[0].q.Make(t.Context(), order("j", api.JobRequest{Queue: "q"}, n)); !errors.Is(err, ErrTaken) {
		t.Errorf("another request with its id, later: %v", err)
	}
}

func TestTooManyWait(t *testing.T) {
	g := newGrid(t, 1, 3)
	q := g.acs[0].q
	q.o.Bounds.Waiting = 4
	g.acs[0].mustMake(order("j", api.JobRequest{TTLMS: 1000}, g.nodes...))
	g.acs[0].turn()
	if _, err := q.Make(t.Context(), order("k", api.JobRequest{TTLMS: 1000}, g.nodes...)); !errors.Is(err, ErrFull) || q.Has("k") {
		t.Errorf("%v", err)
	}
}

// Without a quorum nothing is taken, what runs goes on, and its result is
// written when there is one again.
func TestNoQuorum(t *testing.T) {
	g := newGrid(t, 1, 1)
	n, a := g.nodes[0], g.acs[0]
	n.attach(a)
	a.mustMake(order("j", api.JobRequest{}, n))
	g.settle(never)
	a.store.(*memory.Client).SetDown(true)
	if _, err := a.q.Make(t.Context(), order("k", api.JobRequest{}, n)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	g.settle(always)
	if r := a.run("j", n); r.State.Ended() || len(n.jobs["j"].says) == 0 {
		t.Errorf("%+v: acknowledged and not written", r)
	}
	a.store.(*memory.Client).SetDown(false)
	g.settle(always)
	g.whole(a, "j", n)
	if got := len(n.jobs["j"].says); got > 1 { // started has no number
		t.Errorf("%d frames were not acknowledged", got)
	}
}

// What a node may not say changes nothing.
func TestHostileNode(t *testing.T) {
	g := newGrid(t, 1, 2)
	a, good, evil := g.acs[0], g.nodes[0], g.nodes[1]
	good.attach(a)
	evil.attach(a)
	a.mustMake(order("j", api.JobRequest{}, good))
	a.mustMake(order("mine", api.JobRequest{}, evil))
	g.settle(never)
	for _, f := range []api.Frame{
		{Type: api.FrameExit, Job: "j", Seq: 1}, {Type: api.FrameOutput, Job: "j", Seq: 1, Stream: "stdout"}, {Type: api.FrameStarted, Job: "j"},
		{Type: api.FrameExit, Job: "nobody", Seq: 1}, {Type: api.FrameOutput, Job: "nobody", Seq: 1 << 63, Stream: "stdout"},
		{Type: api.FrameOutput, Job: "mine", Seq: 7, Stream: "stdout"}, {Type: api.FrameOutput, Job: "mine", Seq: 3, Stream: "stdout"},
		{Type: api.FrameExit, Job: "mine", Seq: 8, State: api.JobRefused, Code: 3}, {Type: api.FrameExit, Job: "mine", Seq: 9},
		{Type: api.FrameOutput, Job: "mine", Seq: 10, Stream: "stdout"},
	} {
		a.q.Received(evil.id, f)
	}
	g.settle(always)
	if r := a.run("mine", evil); r.State != api.JobError || r.Code != 3 {
		t.Errorf("%+v", r)
	}
	g.whole(a, "j", good)
	for i := range 10_000 {
		a.q.Received(evil.id, api.Frame{Type: api.FrameOutput, Job: fmt.Sprint("x", i), Seq: 1, Stream: "stdout"})
	}
	if got := len(a.q.strange); got > maxStrange {
		t.Errorf("%d jobs that nobody knows are looked up", got)
	}
}

// A node that comes with a job of which its AC has not heard yet is not told to
// forget what it says.
func TestACBehindTheStore(t *testing.T) {
	g := newGrid(t, 2, 1)
	n := g.nodes[0]
	n.attach(g.acs[0])
	g.acs[0].mustMake(order("j", api.JobRequest{}, n))
	g.acs[0].turn()
	n.turn(never)
	n.leave()
	n.turn(always)
	n.attach(g.acs[1])
	g.acs[1].q.Settle(t.Context()) // and no news
	if !n.cut || len(n.jobs["j"].says) < 4 {
		t.Errorf("cut: %v, and it says %d things", n.cut, len(n.jobs["j"].says))
	}
	n.turn(always)
	g.settle(always)
	n.attach(g.acs[1])
	g.settle(always)
	g.whole(g.acs[1], "j", n)
}

func TestGone(t *testing.T) {
	g := newGrid(t, 1, 1)
	n, a := g.nodes[0], g.acs[0]
	n.attach(a)
	a.mustMake(order("runs", api.JobRequest{Queue: "q"}, n))
	a.mustMake(order("waits", api.JobRequest{Queue: "q"}, n))
	g.settle(never)
	n.leave()
	a.q.Gone(n.id, "the node is retired")
	g.settle(never)
	if r, w := a.run("runs", n), a.run("waits", n); r.State != api.JobLost || w.State != api.JobRefused || w.Error != "the node is retired" {
		t.Errorf("%+v\n%+v", r, w)
	}
	if got := a.q.Busy(); len(got) > 0 {
		t.Errorf("busy: %v", got)
	}
}

// Old jobs go, in steps, with all that belongs to them, also if the AC dies in
// the middle.
func TestForgetting(t *testing.T) {
	g := newGrid(t, 2, 30)
	for _, n := range g.nodes {
		n.attach(g.acs[0])
	}
	for i := range 10 {
		g.acs[0].mustMake(order(fmt.Sprint("j", i), api.JobRequest{}, g.nodes...))
	}
	g.settle(always)
	g.acs[0].mustMake(order("open", api.JobRequest{TTLMS: time.Hour.Milliseconds()}, g.nodes...))
	g.settle(never)
	g.now = g.now.Add(8 * 24 * time.Hour)
	q := g.acs[1].q
	q.forget(t.Context(), []string{"j0"}) // as far as one transaction goes
	for range 5 {
		q.Tick(t.Context())
		g.settle(never)
	}
	for _, a := range g.acs {
		if got := a.q.Jobs(delivery.Query{}); len(got) != 1 || got[0].ID != "open" {
			t.Errorf("%s remembers %v", a.name, got)
		}
		if got := a.disk.Jobs(); len(got) > 1 {
			t.Errorf("%s keeps the output of %v", a.name, got)
		}
	}
	page, err := g.store.List(t.Context(), Prefix, store.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range page.KVs {
		if !strings.Contains(kv.Key, "/open") {
			t.Errorf("%s is left over", kv.Key)
		}
	}
}

// Jobs for twenty nodes while nodes and ACs are killed at random, and with
// G8OS_SLOW_TESTS a thousand jobs for a hundred: each ran once, and all it said is
// there.
func TestNothingIsLostAtRandom(t *testing.T) {
	sizes := []struct{ nodes, steps int }{{20, 600}, {20, 600}, {20, 600}, {20, 600}}
	if os.Getenv("G8OS_SLOW_TESTS") != "" {
		sizes = append(sizes, struct{ nodes, steps int }{100, 10_000})
	}
	for seed, size := range sizes {
		g := newGrid(t, 3, size.nodes)
		r := random(uint64(seed))
		var made []string
		for step := range size.steps {
			g.now = g.now.Add(20 * time.Millisecond)
			a, n := g.acs[r.IntN(3)], g.nodes[r.IntN(len(g.nodes))]
			switch r.IntN(12) {
			case 0:
				a.kill()
			case 1, 2:
				a.start()
			case 3, 4:
				n.attach(a)
			case 5:
				n.leave()
			case 6, 7:
				id := fmt.Sprintf("j%d", step)
				if a.q != nil {
					a.mustMake(order(id, api.JobRequest{TTLMS: time.Hour.Milliseconds(), Queue: []string{"", "q"}[r.IntN(2)], Parallel: r.IntN(2) * 3}, g.nodes...))
					made = append(made, id)
				}
			case 8, 9:
				a.turn()
			default:
				for range 5 {
					g.nodes[r.IntN(len(g.nodes))].turn(func(string) bool { return r.IntN(2) == 0 })
				}
			}
		}
		for _, a := range g.acs {
			a.start()
		}
		for round := range 200 {
			for i, n := range g.nodes {
				if n.at == nil {
					n.attach(g.acs[(i+round)%3])
				}
			}
			g.settle(always)
			if g.acs[0].q.Waiting() == 0 {
				break
			}
		}
		for _, id := range made {
			for _, n := range g.nodes {
				g.whole(g.acs[int(seed)%3], id, n)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d, %d jobs", seed, len(made))
		}
		if size.nodes == 100 && len(made) < 1000 {
			t.Fatalf("only %d jobs", len(made))
		}
	}
}

// errCrashed is what an AC gets from the store after its crash.
var errCrashed = errors.New("crashed")

// stepped is a store whose AC crashes after so many writes.
type stepped struct {
	store.Store
	left int
}

func (s *stepped) Txn(ctx context.Context, t store.Txn) (int64, error) {
	if s.left == 0 {
		return 0, errCrashed
	}
	s.left--
	return s.Store.Txn(ctx, t)
}

// An AC dies between any two writes of a job's life; the operator, who got no
// answer, asks another one with the same id. The job runs once.
func TestT28_T29CrashBetweenAllWrites(t *testing.T) {
	for left := range 6 {
		g := newGrid(t, 2, 2)
		a, b := g.acs[0], g.acs[1]
		a.q = nil
		a.store = &stepped{Store: a.store, left: left}
		a.start()
		for _, n := range g.nodes {
			n.attach(a)
		}
		o := order("j", api.JobRequest{Parallel: 1, TTLMS: time.Hour.Milliseconds()}, g.nodes...)
		_, err := a.q.Make(t.Context(), o)
		g.settle(always)
		a.kill()
		b.turn()
		if err != nil {
			b.mustMake(o)
		}
		for _, n := range g.nodes {
			n.attach(b)
		}
		g.settle(always)
		for _, n := range g.nodes {
			g.whole(b, "j", n)
		}
		if t.Failed() {
			t.Fatalf("after %d writes", left)
		}
	}
}
