package schedule

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/g8os/g8os/ac-mock/jobs/schedule/due"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
	"github.com/g8os/g8os/core/api"
)

// made is who makes jobs, for all ACs: one of an id is made once.
type made struct {
	mu    sync.Mutex
	jobs  map[string]int // how often each was asked for
	runs  map[string]bool
	fails error
	slow  time.Duration
}

var errNobody = errors.New("no enrolled node has the role")

func (m *made) Check(_ context.Context, req api.JobRequest) error {
	if len(req.To.Roles) > 0 {
		return errNobody
	}
	return nil
}

func (m *made) Make(ctx context.Context, by string, req api.JobRequest) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(m.slow):
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !strings.HasPrefix(req.ID, strings.TrimPrefix(by, "schedule:")+"-") {
		return fmt.Errorf("job %s by %s", req.ID, by)
	}
	if m.fails == nil {
		m.jobs[req.ID]++
	}
	return m.fails
}

func (m *made) Runs(_ context.Context, id string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runs[id], nil
}

func (m *made) count() int { m.mu.Lock(); defer m.mu.Unlock(); return len(m.jobs) }

func (m *made) set(err error) { m.mu.Lock(); defer m.mu.Unlock(); m.fails = err }

func newMade() *made { return &made{jobs: map[string]int{}, runs: map[string]bool{}} }

// errGone is why an operator's schedules have nothing run.
var errGone = errors.New("operator ann: revoked")

// ac is one on a store.
func ac(s store.Store, m *made, clock func() time.Time) *Scheduler {
	return New(Options{Store: s, Jobs: m, Clock: clock, Log: slog.New(slog.DiscardHandler), Noted: func() {}, Entry: func(actor, action string, _ api.NodeID, detail string) (store.Op, error) {
		return store.Put("audit/"+rand.Text(), []byte(actor+" "+action+" "+detail)), nil
	}})
}

func every(t *testing.T, s *Scheduler, name, cron string) {
	t.Helper()
	if _, err := s.Add(t.Context(), "ann", api.Schedule{Name: name, Cron: cron, Request: api.JobRequest{To: api.Address{All: true}, Exec: api.ExecRequest{Argv: []string{"true"}}}}); err != nil {
		t.Fatal(err)
	}
}

// Three ACs on one store look to one schedule, one of them dies and another comes:
// every tick has its job, and no tick has two.
func TestOncePerTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, st := newMade(), memory.New(memory.Options{})
		defer st.Close()
		var wg sync.WaitGroup
		start := func() (*Scheduler, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			s := ac(st.Client(), m, time.Now)
			wg.Go(func() { s.Run(ctx) })
			return s, cancel
		}
		one, kill := start()
		_, end := start()
		defer func() { end(); wg.Wait() }()
		_, endToo := start()
		defer endToo()
		began := time.Now()
		every(t, one, "beat", "@every 2s")
		time.Sleep(time.Minute)
		kill()
		time.Sleep(time.Minute)
		_, endNew := start()
		defer endNew()
		time.Sleep(time.Minute + time.Second)
		m.mu.Lock()
		defer m.mu.Unlock()
		for tick := began.Truncate(time.Second).Add(2 * time.Second); !tick.After(time.Now().Add(-time.Second)); tick = tick.Add(2 * time.Second) {
			if id := fmt.Sprint("beat-", tick.Unix()); m.jobs[id] == 0 {
				t.Errorf("tick %s has no job", id)
			}
		}
		if n := len(m.jobs); n > 91 {
			t.Errorf("%d jobs of 90 ticks", n)
		}
	})
}

// All ACs are away, or their store is: the tick that was missed last is run late;
// once it is too late, it is said that it was left out.
func TestMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, st := newMade(), memory.New(memory.Options{})
		defer st.Close()
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); wg.Wait() }()
		s := ac(st, m, time.Now)
		wg.Go(func() { s.Run(ctx) })
		every(t, s, "hourly", "@every 1h")
		away := func(long time.Duration) {
			m.set(store.ErrUnavailable)
			st.SetDown(true)
			time.Sleep(long)
			st.SetDown(false)
			m.set(nil)
			time.Sleep(time.Minute)
		}
		away(time.Hour + 3*time.Minute)
		if list := s.List(); m.count() != 1 || list[0].Note != "" {
			t.Errorf("three minutes late: %v, %+v", m.jobs, list)
		}
		away(time.Hour + 6*time.Minute)
		if list := s.List(); m.count() != 1 || !strings.Contains(list[0].Note, "was left out: no AC was there") {
			t.Errorf("ten minutes late: %v, %+v", m.jobs, list)
		}
	})
}

// A tick while the job before it runs is left out, and said so; so is one whose
// job cannot be made. Neither stops the next.
func TestLeftOut(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	m, st := newMade(), memory.New(memory.Options{})
	defer st.Close()
	s := ac(st, m, func() time.Time { return now })
	step := func(at time.Duration) api.Schedule {
		t.Helper()
		now = now.Add(at)
		s.Step(t.Context())
		return s.List()[0]
	}
	every(t, s, "sync", "*/5 * * * *")
	if _, err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := step(5 * time.Minute)
	m.runs[first.LastJob] = true
	if second := step(5 * time.Minute); second.LastJob != first.LastJob || !strings.Contains(second.Note, "still running") || m.count() != 1 {
		t.Errorf("while it runs: %+v, %v", second, m.jobs)
	}
	m.runs[first.LastJob], m.fails = false, errNobody
	if third := step(5 * time.Minute); third.LastJob != first.LastJob || !strings.Contains(third.Note, "no enrolled node has the role") {
		t.Errorf("its job cannot be made: %+v", third)
	}
	m.fails = fmt.Errorf("made: %w", store.ErrUnavailable)
	if fourth := step(5 * time.Minute); fourth.LastJob != first.LastJob || m.count() != 1 {
		t.Errorf("without a store: %+v", fourth)
	}
	m.fails = nil
	s.o.MayAct = func(_ context.Context, actor string) error {
		if actor != "ann" {
			t.Errorf("asked about %s", actor)
		}
		return errGone
	}
	if fourth := step(time.Second); m.count() != 1 || !strings.Contains(fourth.Note, "revoked") {
		t.Errorf("of one who was revoked: %+v, %v", fourth, m.jobs)
	}
	s.o.MayAct = func(context.Context, string) error { return nil }
	if fourth := step(5 * time.Minute); m.count() != 2 || fourth.LastJob != fmt.Sprint("sync-", now.Truncate(5*time.Minute).Unix()) || !fourth.Next.Equal(now.Truncate(5*time.Minute).Add(5*time.Minute)) {
		t.Errorf("with one again: %+v, %v", fourth, m.jobs)
	}
}

func TestAddRemove(t *testing.T) {
	m, st := newMade(), memory.New(memory.Options{})
	defer st.Close()
	s := ac(st, m, time.Now)
	good := api.Schedule{Cron: "@daily", Request: api.JobRequest{To: api.Address{All: true}, Exec: api.ExecRequest{Argv: []string{"/bin/true"}}}}
	for _, want := range []string{"true", "true-2"} {
		if made, err := s.Add(t.Context(), "ann", good); err != nil || made.Name != want || made.By != "ann" || made.Next.Before(time.Now()) {
			t.Errorf("%+v, %v", made, err)
		}
	}
	for what, c := range map[string]struct {
		change func(*api.Schedule)
		err    error
	}{
		"its name is taken":  {func(s *api.Schedule) { s.Name = "true" }, ErrExists},
		"no cron":            {func(s *api.Schedule) { s.Cron = "daily" }, due.ErrCron},
		"no name":            {func(s *api.Schedule) { s.Name = "../x" }, due.ErrInput},
		"nobody has to work": {func(s *api.Schedule) { s.Request.To = api.Address{Roles: []string{"web"}} }, errNobody},
	} {
		bad := good
		c.change(&bad)
		if _, err := s.Add(t.Context(), "ann", bad); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.Remove(t.Context(), "ann", "true"); err != nil {
		t.Error(err)
	}
	if _, err := s.Remove(t.Context(), "ann", "true"); !errors.Is(err, ErrUnknown) {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := s.Load(t.Context()); err != nil || len(s.List()) != 1 {
		t.Errorf("%v, %v", s.List(), err)
	}
	said := map[string]bool{}
	if _, err := store.Each(t.Context(), st, "audit/", func(kv store.KV) error { said[string(kv.Value)] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ann schedule add true: @daily, /bin/true on all nodes", "ann schedule add true-2: @daily, /bin/true on all nodes", "ann schedule remove true"} {
		if !said[want] || len(said) != 3 {
			t.Errorf("the audit has %v, want %q", said, want)
		}
	}
}

func TestBoundedAndDamaged(t *testing.T) {
	m, st := newMade(), memory.New(memory.Options{})
	defer st.Close()
	s := ac(st, m, time.Now)
	for i := range Most {
		value := fmt.Sprintf(`{"name":"s%d","cron":"@hourly","created":"2026-11-26T12:00:00Z"}`, i)
		if i == 0 {
			value = "{damaged"
		}
		if _, err := st.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put(fmt.Sprint(prefix, "s", i), []byte(value))}}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Add(t.Context(), "ann", api.Schedule{Name: "more", Cron: "@daily"})
	if !errors.Is(err, ErrMany) {
		t.Errorf("one more: %v", err)
	}
	if _, err := s.Load(t.Context()); err != nil || len(s.List()) != Most-1 {
		t.Errorf("%d are shown, %v", len(s.List()), err)
	}
	if _, err := s.Remove(t.Context(), "ann", "s0"); err != nil {
		t.Errorf("a damaged one cannot be removed: %v", err)
	}
}
