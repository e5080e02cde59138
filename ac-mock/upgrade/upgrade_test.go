package upgrade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/upgrade/rollout"
	"github.com/g8os/g8os/core/api"
)

func TestTwoACsUpgradeTheNodesThatTheyHaveCanaryFirst(t *testing.T) {
	g := newGrid(t, 6, "ac1", "ac2")
	one, two := g.ac("ac1"), g.ac("ac2")
	u := g.start(two)
	g.live(8, one, two)
	g.is(one, rollout.Running, 1)
	if fmt.Sprint(g.asked) != "[ac1 n1]" {
		t.Fatalf("before the pause is over: %v", g.asked)
	}
	g.live(10, one, two)
	g.is(one, rollout.Done, 6)
	slices.Sort(g.asked)
	if got := fmt.Sprint(g.asked); got != "[ac1 n1 ac1 n3 ac1 n5 ac2 n2 ac2 n4 ac2 n6]" {
		t.Errorf("each is asked once, by the AC that has it: %s", got)
	}
	if job := g.nodes["n1"].job; job.Builtin != api.BuiltinUpgrade || !strings.Contains(string(job.Args), u.ID) {
		t.Errorf("it is asked for %s %s, want %s", job.Builtin, job.Args, u.ID)
	}
}

// Whoever of two operators is first, his upgrade has all its nodes: the other
// one wrote down his own meanwhile.
func TestOfTwoWhoStartAtOnceOneIsRefused(t *testing.T) {
	g := newGrid(t, 5, "ac1")
	one, two := g.ac("ac1"), g.ac("ac2")
	ready, loser, won := make(chan bool), make(chan error), make(chan bool)
	g.noted = func(string) { // the first has prepared: so does the second, and waits
		g.noted = func(string) { close(ready); <-won }
		go func() {
			_, err := two.Start(t.Context(), "bob", request)
			loser <- err
		}()
		<-ready
	}
	u := g.start(one)
	close(won)
	if err := <-loser; !errors.Is(err, ErrRunning) {
		t.Errorf("the second: %v", err)
	}
	g.noted = nil
	g.is(two, rollout.Running, 0)
	g.onlyOf(u.ID)
	if _, err := two.Start(t.Context(), "bob", request); !errors.Is(err, ErrRunning) {
		t.Errorf("while it runs: %v", err)
	}
	g.live(30, one, two)
	g.is(two, rollout.Done, 5)
}

// onlyOf fails if entries of other plans are left.
func (g *grid) onlyOf(plan string) {
	g.t.Helper()
	keys, err := store.Keys(g.t.Context(), g.store, keyNode)
	g.must(err)
	for _, k := range keys {
		if !strings.HasPrefix(k, under(plan)) {
			g.t.Errorf("left in the store: %s", k)
		}
	}
	if len(keys) != len(g.nodes) {
		g.t.Errorf("%d entries, want %d", len(keys), len(g.nodes))
	}
}

func TestANodeThatRefusesHaltsUntilResume(t *testing.T) {
	g := newGrid(t, 3, "ac1")
	one := g.ac("ac1")
	g.nodes["n1"].answer = func(context.Context, int) (api.JobRun, error) {
		return api.JobRun{State: api.JobError, Code: api.CodeRefused, Error: "not signed"}, nil
	}
	first := g.start(one)
	g.live(30, one)
	if u := g.is(one, rollout.Halted, 0); u.Why != "n1: refused: not signed" {
		t.Errorf("why: %q", u.Why)
	}
	if len(g.asked) != 1 {
		t.Errorf("halted, and asked: %v", g.asked)
	}
	_, err := one.Set(t.Context(), "ann", "resume")
	g.must(err)
	g.live(30, one)
	g.is(one, rollout.Done, 2)
	if _, err := one.Set(t.Context(), "ann", "resume"); !errors.Is(err, ErrNone) {
		t.Errorf("resume of what is over: %v", err)
	}
	g.nodes["n1"].answer = nil
	second := g.start(one)
	g.onlyOf(second.ID)
	if first.ID == second.ID {
		t.Errorf("two upgrades are %s", first.ID)
	}
	g.live(30, one)
	g.is(one, rollout.Done, 3)
}

func TestHaltEndsAnUpgradeAndPauseHoldsIt(t *testing.T) {
	g := newGrid(t, 3, "ac1")
	one := g.ac("ac1")
	g.start(one)
	g.live(3, one)
	_, err := one.Set(t.Context(), "ann", "pause")
	g.must(err)
	g.live(60, one)
	g.is(one, rollout.Paused, 1)
	_, err = one.Set(t.Context(), "ann", "halt")
	g.must(err)
	g.live(60, one)
	if u := g.is(one, rollout.Halted, 1); u.Ended == nil || len(g.asked) != 1 {
		t.Errorf("ended %v, asked %v", u.Ended, g.asked)
	}
	if _, err := one.Set(t.Context(), "ann", "explode"); err == nil {
		t.Error("any word does")
	}
	g.start(one)
}

func TestANodeWhoseAnswerDoesNotComeIsAskedAgain(t *testing.T) {
	g := newGrid(t, 1, "ac1")
	one := g.ac("ac1")
	g.nodes["n1"].answer = func(_ context.Context, n int) (api.JobRun, error) {
		switch n {
		case 1:
			return api.JobRun{}, errors.New("the session is gone")
		case 2: // it did not say whether
			return api.JobRun{State: api.JobError, Code: 1, Error: "disk full"}, nil
		}
		return api.JobRun{State: api.JobSuccess}, nil
	}
	g.start(one)
	g.live(4, one)
	if len(g.asked) != 1 {
		t.Errorf("asked %d times within 4 s", len(g.asked))
	}
	g.live(5, one)
	if u := g.is(one, rollout.Running, 0); u.Nodes[0].Why != "disk full" || len(g.asked) != 2 {
		t.Errorf("asked %d times, shown %+v", len(g.asked), u.Nodes)
	}
	g.live(10, one)
	g.is(one, rollout.Done, 1)
}

// An AC that is killed while a node is at it is missed by nobody: it, or the AC
// at which the node is then, asks again.
func TestAnACThatDiesBetweenTwoStepsIsGoneOnFrom(t *testing.T) {
	g := newGrid(t, 3, "ac1")
	one := g.ac("ac1")
	g.nodes["n1"].answer = func(ctx context.Context, n int) (api.JobRun, error) {
		if n == 1 {
			<-ctx.Done()
			return api.JobRun{}, ctx.Err()
		}
		return api.JobRun{State: api.JobSuccess}, nil
	}
	g.start(one)
	ctx, kill := context.WithCancel(t.Context())
	g.must(one.step(ctx))
	kill()
	one.waiting.Wait()
	if u := g.is(one, rollout.Running, 0); u.Counts[api.UpgradeUnderWay] != 1 {
		t.Fatalf("after the kill: %+v", u)
	}
	again := g.ac("ac2")
	for _, n := range g.nodes {
		n.at = "ac2"
	}
	g.live(30, again)
	g.is(again, rollout.Done, 3)
	if g.nodes["n1"].asked != 2 || len(g.asked) != 4 {
		t.Errorf("asked: %v", g.asked)
	}
}
