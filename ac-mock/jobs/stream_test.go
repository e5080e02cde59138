package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

// net is the other ACs of one, in a grid of a test.
type net struct {
	own   *ac
	dead  map[string]bool
	asked atomic.Int32
}

func (p *net) Names() (names []string) {
	for _, a := range p.own.g.acs {
		if a != p.own {
			names = append(names, a.name)
		}
	}
	return names
}

func (p *net) Output(ctx context.Context, name, job string, follow bool) (io.ReadCloser, error) {
	p.asked.Add(1)
	if p.dead[name] {
		return nil, errors.New("connection refused")
	}
	at := slices.IndexFunc(p.own.g.acs, func(a *ac) bool { return a.name == name })
	r, w := io.Pipe()
	go func() {
		enc := json.NewEncoder(w)
		_ = w.CloseWithError(p.own.g.acs[at].q.Serve(ctx, job, follow, func(l Line) error { return enc.Encode(l) }))
	}()
	return r, nil
}

// told follows a job from a cursor to its end and says each event in a word.
func (a *ac) told(id, cursor string) (words, cursors []string) {
	a.g.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := a.q.Follow(ctx, id, cursor, true, func(e api.JobEvent) error {
		word := fmt.Sprintf("%s:%s", strings.TrimLeft(string(e.Node), "0"), e.State)
		switch {
		case e.Done:
			word = "done"
		case e.Stream != "":
			word = fmt.Sprintf("%s:%d", strings.TrimLeft(string(e.Node), "0"), e.Seq)
		case e.State == "":
			word = "remark"
		}
		words, cursors = append(words, word), append(cursors, e.Cursor)
		return nil
	}, nil)
	if err != nil {
		a.g.Fatal(err)
	}
	return words, cursors
}

// moved is a job whose node said pieces 1 and 2 at one AC and the rest at another.
func moved(t *testing.T) (*grid, map[string]*net) {
	g := newGrid(t, 3, 1)
	nets := map[string]*net{}
	for _, a := range g.acs {
		nets[a.name] = &net{own: a, dead: map[string]bool{}}
		a.q.o.Peers = nets[a.name]
	}
	n := g.nodes[0]
	n.attach(g.acs[0])
	g.acs[0].mustMake(order("j", api.JobRequest{}, n))
	g.settle(never)
	for range 2 {
		n.say("j", api.Frame{Type: api.FrameOutput, Stream: "stdout", Data: []byte("x")})
	}
	g.settle(never)
	n.attach(g.acs[1])
	g.settle(never)
	n.say("j", api.Frame{Type: api.FrameOutput, Stream: "stdout", Data: []byte("x")})
	n.exit("j", api.Frame{State: api.JobSuccess})
	g.settle(never)
	return g, nets
}

// At any AC a stream has all output in order, each piece once, and before the
// end; from any of its cursors, at any AC, it has the rest.
func TestFollowAtAnyAC(t *testing.T) {
	g, _ := moved(t)
	for _, a := range g.acs {
		words, cursors := a.told("j", "")
		if got := strings.Join(withoutRunning(words), " "); got != "20000000001:1 20000000001:2 20000000001:3 20000000001:success done" {
			t.Errorf("%s: %s", a.name, got)
		}
		for i, c := range cursors[:len(cursors)-1] {
			for _, b := range g.acs {
				rest, _ := b.told("j", c)
				if want := withoutRunning(words[i+1:]); !slices.Equal(withoutRunning(rest), want) {
					t.Errorf("at %s after %s of %s: %v, want %v", b.name, words[i], a.name, rest, want)
				}
			}
		}
	}
}

// withoutRunning leaves out that a job began, which may be told before or after
// pieces of output.
func withoutRunning(words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.HasSuffix(w, ":running") })
}

// Of output that is with an AC that does not answer, or is gone, the stream says
// so, and ends all the same.
func TestFollowWithoutAnAC(t *testing.T) {
	g, nets := moved(t)
	nets["ac2"].dead["ac1"] = true
	words, _ := g.acs[1].told("j", "")
	if got := strings.Join(words, " "); strings.Count(got, "remark") != 2 || !strings.Contains(got, ":3") || !strings.HasSuffix(got, ":success done") {
		t.Errorf("%s", got)
	}
}

// An AC that is asked for a job before it has heard of it tells all of it.
func TestServeBeforeItIsKnown(t *testing.T) {
	g := newGrid(t, 1, 1)
	a, n := g.acs[0], g.nodes[0]
	n.attach(a)
	asked, served := make(chan struct{}), make(chan error, 1)
	var pieces []uint64
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		var once sync.Once
		served <- a.q.Serve(ctx, "j", true, func(l Line) error {
			if l.Mark == 0 {
				pieces = append(pieces, l.Seq)
			}
			once.Do(func() { close(asked) })
			return nil
		})
	}()
	<-asked
	a.mustMake(order("j", api.JobRequest{}, n))
	g.settle(never)
	n.say("j", api.Frame{Type: api.FrameOutput, Stream: "stdout", Data: []byte("x")})
	n.exit("j", api.Frame{State: api.JobSuccess})
	g.settle(never)
	if err := <-served; err != nil || !slices.Equal(pieces, []uint64{1}) {
		t.Errorf("pieces %v, %v", pieces, err)
	}
}

// An AC that has all asks nobody.
func TestFollowAsksNobodyInVain(t *testing.T) {
	g := newGrid(t, 2, 1)
	p := &net{own: g.acs[0]}
	g.acs[0].q.o.Peers = p
	g.nodes[0].attach(g.acs[0])
	g.acs[0].mustMake(order("j", api.JobRequest{}, g.nodes[0]))
	g.settle(always)
	if words, _ := g.acs[0].told("j", ""); len(words) < 5 || p.asked.Load() > 0 {
		t.Errorf("%v, asked %d times", words, p.asked.Load())
	}
}

// A watcher that takes nothing holds up neither the job nor other watchers.
func TestSlowWatcher(t *testing.T) {
	g := newGrid(t, 1, 1)
	a, n := g.acs[0], g.nodes[0]
	n.attach(a)
	a.mustMake(order("j", api.JobRequest{}, n))
	g.settle(never)
	ctx, cancel := context.WithCancel(t.Context())
	stuck, slow := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		slow <- a.q.Follow(ctx, "j", "", true, func(api.JobEvent) error {
			select {
			case stuck <- struct{}{}:
			default:
			}
			<-ctx.Done()
			return ctx.Err()
		}, nil)
	}()
	for range 200 {
		n.say("j", api.Frame{Type: api.FrameOutput, Stream: "stdout", Data: make([]byte, 1000)})
	}
	g.settle(never)
	n.exit("j", api.Frame{State: api.JobSuccess})
	g.settle(never)
	<-stuck
	if words, _ := a.told("j", ""); len(words) < 202 {
		t.Errorf("%d events", len(words))
	}
	cancel()
	if err := <-slow; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestFollowRefuses(t *testing.T) {
	g := newGrid(t, 1, 1)
	take := func(api.JobEvent) error { return nil }
	if err := g.acs[0].q.Follow(t.Context(), "nobody", "", true, take, nil); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	for _, c := range []string{"x", "e30=", strings.Repeat("e", 5000)} {
		if err := CheckCursor(c); !errors.Is(err, ErrCursor) {
			t.Errorf("cursor %.10q: %v", c, err)
		}
	}
}

func TestSpans(t *testing.T) {
	for seed := range uint64(50) {
		r, s, there := random(seed), spans{}, map[uint64]bool{}
		for range 60 {
			n := uint64(r.IntN(30) + 1)
			if added := s.add(n); added == there[n] {
				t.Fatalf("seed %d: add %d says %v: %v", seed, n, added, s)
			}
			there[n] = true
			next, missing := uint64(1), uint64(0)
			for there[next] {
				next++
			}
			for i := range uint64(20) {
				if !there[i+1] {
					missing++
				}
				if s.has(i+1) != there[i+1] {
					t.Fatalf("seed %d: has %d: %v", seed, i+1, s)
				}
			}
			if s.next() != next || s.missing(21) != missing {
				t.Fatalf("seed %d: next %d, want %d; missing %d, want %d: %v", seed, s.next(), next, s.missing(21), missing, s)
			}
		}
	}
}
