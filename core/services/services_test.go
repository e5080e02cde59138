package services

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/services/order"
	"github.com/g8os/g8os/core/services/program"
	"github.com/g8os/g8os/core/services/runtime"
	"github.com/g8os/g8os/core/services/spec"
)

// place is where the services of a test live; several supervisors after one
// another do.
type place struct {
	t   testing.TB
	dir string
}

func newPlace(t testing.TB) *place { return &place{t, t.TempDir()} }

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

func (p *place) where() program.Where {
	return program.Where{RunDir: p.path("run"), LogDir: p.path("log"), Log: slog.New(slog.DiscardHandler)}
}

// supervisor is a new one, which is left at the end of the test.
func (p *place) supervisor() *Supervisor {
	s := New(Options{
		RunDir: p.path("run"), Desired: p.path("desired.json"), Log: slog.New(slog.DiscardHandler),
		Stray: func(name string) runtime.Runtime {
			return program.New(spec.Service{Name: name, Signal: "TERM"}, p.where())
		},
	})
	p.t.Cleanup(s.Leave)
	return s
}

// declared makes services of TOML; DIR is the folder of the test.
func (p *place) declared(text string) (all []Service) {
	p.t.Helper()
	f := spec.Parse("test.toml", []byte(strings.ReplaceAll(text, "DIR", p.dir)))
	if len(f.Problems) > 0 {
		p.t.Fatal(f.Problems)
	}
	for _, s := range f.Services {
		all = append(all, Service{Service: s.Ordered(), File: s.File, Runtime: program.New(s, p.where())})
	}
	return all
}

// run has services run in a supervisor that ends them with the test.
func (p *place) run(text string) *Supervisor {
	s := p.supervisor()
	p.t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			p.t.Error(err)
		}
	})
	s.Declare(p.declared(text))
	return s
}

// until waits until a service is as wanted, and returns how it is.
func until(t testing.TB, s *Supervisor, name string, wanted func(api.ServiceState) bool) (st api.ServiceState) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		for _, st = range s.States() {
			if st.Name == name && wanted(st) {
				return st
			}
		}
		select {
		case <-changed:
		case <-time.After(10 * time.Millisecond): // a pid comes without a change
		case <-deadline:
			t.Fatalf("%s did not get there: %+v", name, s.States())
		}
	}
}

func is(phases ...order.Phase) func(api.ServiceState) bool {
	return func(st api.ServiceState) bool { return slices.Contains(phases, order.Phase(st.State)) }
}

func TestTheyStartAndEndInOrder(t *testing.T) {
	p := newPlace(t)
	script := `command = "trap 'echo end $0 >> DIR/trail; exit 0' TERM; echo start $0 >> DIR/trail; echo hello; while :; do sleep 0.02; done"` + "\n" + `ready = { output = "^hel+o$" }` + "\n"
	s := p.supervisor()
	s.Declare(p.declared("[service.web]\nafter = [\"db\"]\n" + strings.ReplaceAll(script, "$0", "web") + "[service.db]\n" + strings.ReplaceAll(script, "$0", "db")))
	until(t, s, "web", is(order.Ready))
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw, _ := os.ReadFile(p.path("trail"))
	if got := string(raw); got != "start db\nstart web\nend web\nend db\n" {
		t.Errorf("%q", got)
	}
}

func TestOneThatDiesIsStartedAgainAndSaysWhy(t *testing.T) {
	p := newPlace(t)
	s := p.run(`[service.x]
command = "test -e DIR/once || { touch DIR/once; echo no space left; exit 7; }; exec sleep 60"
backoff = { min = "1ms", max = "1ms" }
`)
	st := until(t, s, "x", func(st api.ServiceState) bool { return st.State == "ready" && st.Restarts == 1 })
	if st.Last == nil || st.Last.Code != 7 || !st.Last.Known || !strings.Contains(st.Last.Why, "no space left") {
		t.Errorf("%+v", st.Last)
	}
}

func TestT14AFailedDependencyBlocksOnlyThoseThatNeedIt(t *testing.T) {
	s := newPlace(t).run(`[service.db]
command = "exit 3"
restart = "never"
ready = { alive_for = "20s" }
[service.web]
command = "exec sleep 60"
after = ["db"]
[service.other]
command = "exec sleep 60"
`)
	st := until(t, s, "web", is(order.Blocked))
	if !strings.Contains(st.Why, "needs db, which is failed") || !strings.Contains(st.Why, "exit code 3") {
		t.Error(st.Why)
	}
	until(t, s, "other", is(order.Ready))
}

func TestT16EndsThatComeAtOnceAreAllSeen(t *testing.T) {
	p := newPlace(t)
	var text strings.Builder
	for i := range 50 {
		fmt.Fprintf(&text, "[service.s%d]\ncommand = \"read x < DIR/gate; exit %d\"\nrestart = \"never\"\n", i, i+1)
	}
	if err := mkfifo(p.path("gate")); err != nil {
		t.Fatal(err)
	}
	s := p.run(text.String())
	for i := range 50 {
		until(t, s, fmt.Sprintf("s%d", i), is(order.Ready))
	}
	gate, err := os.OpenFile(p.path("gate"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	if _, err := gate.WriteString(strings.Repeat("go\n", 50)); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if st := until(t, s, fmt.Sprintf("s%d", i), is(order.Failed)); st.Last.Code != i+1 {
			t.Errorf("s%d: %+v", i, st.Last)
		}
	}
}

func TestT17ADaemonThatKeepsTheOutputOpenHoldsUpNothing(t *testing.T) {
	p := newPlace(t)
	s := p.run(`[service.x]
command = "setsid sleep 600 & echo $! > DIR/left; exit 4"
restart = "never"
`)
	t.Cleanup(func() { killLeft(p.path("left")) })
	if st := until(t, s, "x", is(order.Failed)); st.Last.Code != 4 {
		t.Errorf("%+v", st.Last)
	}
}

func TestT18StoppedWhileItRestsIsStopped(t *testing.T) {
	s := newPlace(t).run("[service.x]\ncommand = \"exit 1\"\nbackoff = { min = \"1h\", max = \"1h\" }\n")
	until(t, s, "x", is(order.Resting))
	if err := s.Do(api.ServiceStop, "x"); err != nil {
		t.Fatal(err)
	}
	if st := until(t, s, "x", is(order.Stopped)); !st.Stopped || st.Next != nil {
		t.Errorf("%+v", st)
	}
}

func TestT19T20AStormEndsAtItsLimit(t *testing.T) {
	p := newPlace(t)
	s := p.run(`[service.x]
command = "echo once >> DIR/starts; exit 1"
backoff = { min = "1ms", max = "2ms" }
limit = { starts = 4, within = "1h" }
`)
	st := until(t, s, "x", is(order.Failed))
	if !strings.Contains(st.Why, "started 4 times within 1h0m0s") {
		t.Error(st.Why)
	}
	if raw, _ := os.ReadFile(p.path("starts")); string(raw) != strings.Repeat("once\n", 4) {
		t.Errorf("%q", raw)
	}
}

func TestT24TheLastResultIsShown(t *testing.T) {
	s := newPlace(t).run("[service.x]\ncommand = \"exit 5\"\nevery = \"1h\"\n")
	st := until(t, s, "x", is(order.Scheduled))
	if st.Last == nil || st.Last.Code != 5 || st.Next == nil || time.Until(*st.Next) < 50*time.Minute {
		t.Errorf("%+v", st)
	}
}

func TestOneThatIgnoresItsSignalIsKilled(t *testing.T) {
	s := newPlace(t).run(`[service.x]
command = "trap '' TERM; echo up; while :; do sleep 0.02; done"
ready = { output = "up" }
stop = { grace = "100ms" }
`)
	until(t, s, "x", is(order.Ready))
	if err := s.Do(api.ServiceStop, "x"); err != nil {
		t.Fatal(err)
	}
	if st, err := s.Settled(t.Context(), "x"); err != nil || st.State != "stopped" {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestWhatCannotBeStartedSaysWhy(t *testing.T) {
	for decl, says := range map[string]string{
		`command = ["nowhere"]`:                          "there is no program nowhere in /usr/local/sbin",
		`command = ["/etc/passwd"]`:                      "/etc/passwd is no program: it cannot be executed",
		"command = \"true\"\ndir = \"/nowhere\"":         "there is no folder /nowhere",
		"command = \"true\"\nuser = \"nobody-there\"":    "there is no user nobody-there",
		"command = \"true\"\ngroup = \"nobody-there\"":   "there is no group nobody-there",
		"command = \"true\"\ncondition = [\"/nowhere\"]": "condition is not met: stat /nowhere",
	} {
		s := newPlace(t).run("[service.x]\n" + decl + "\n")
		unmet := strings.HasPrefix(says, "condition")
		st := until(t, s, "x", is(map[bool]order.Phase{false: order.Resting, true: order.Unmet}[unmet]))
		if !strings.Contains(st.Why, says) {
			t.Errorf("%s: %s", decl, st.Why)
		}
		if lines, _ := s.Failing(); st.Failing() == unmet || (len(lines) == 0) != unmet { // who waits for a condition does not fail
			t.Errorf("%s: %s, failing: %v", decl, st.State, lines)
		}
	}
}

func TestStoppedByAnOperatorOutlivesTheCore(t *testing.T) {
	p := newPlace(t)
	text := "[service.x]\ncommand = \"exec sleep 60\"\n"
	s := p.run(text)
	until(t, s, "x", is(order.Ready))
	if err := s.Do(api.ServiceStop, "x"); err != nil {
		t.Fatal(err)
	}
	until(t, s, "x", is(order.Stopped))
	s.Leave()
	if err := os.RemoveAll(p.path("run")); err != nil { // a reboot
		t.Fatal(err)
	}
	next := p.run(text)
	if st := until(t, next, "x", is(order.Stopped)); !st.Stopped {
		t.Errorf("%+v", st)
	}
	if err := next.Do(api.ServiceStart, "x"); err != nil {
		t.Fatal(err)
	}
	until(t, next, "x", is(order.Ready))
}

func TestUnknownNamesAndVerbsAreRefused(t *testing.T) {
	s := newPlace(t).run("[service.x]\ncommand = \"exec sleep 60\"\n")
	if err := s.Do(api.ServiceStop, "y"); err == nil || !strings.Contains(err.Error(), "there is no such service") {
		t.Error(err)
	}
	if err := s.Do("explode", "x"); err == nil || !strings.Contains(err.Error(), "start, stop or restart") {
		t.Error(err)
	}
}
