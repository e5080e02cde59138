package order

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/internal/transcript"
)

// epoch is the zero of the scripts.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// TestTranscripts plays scripts. A line is a time, and what happened then:
//
//	1.5s answers db          5s ended web 1 no space left      9s tick
//	0s declare db web<db,restart=never job<db,oneshot clean,every=1m
//
// and what the machine does follows, indented.
func TestTranscripts(t *testing.T) {
	transcript.Test(t, func(t *testing.T, script string) string {
		m := New()
		var out strings.Builder
		for line := range strings.Lines(script) {
			line = strings.TrimRight(line, "\n")
			if strings.HasPrefix(line, "  ") {
				continue
			}
			out.WriteString(line + "\n")
			if f := strings.Fields(line); len(f) > 0 && f[0] != "#" {
				play(t, m, f, &out)
			}
		}
		return out.String()
	})
}

func play(t *testing.T, m *Machine, f []string, out *strings.Builder) {
	at, err := time.ParseDuration(f[0])
	if err != nil {
		t.Fatal(err)
	}
	effects, next := m.Step(epoch.Add(at), event(t, f[1:]))
	for _, x := range effects {
		if x.Kind != Keep {
			fmt.Fprintf(out, "  %s\n", strings.TrimRight(fmt.Sprintf("%s %s %s", x.Kind, x.Name, x.Text), " "))
		}
	}
	fmt.Fprintf(out, "  -- %s", shown(m))
	if !next.IsZero() {
		fmt.Fprintf(out, "; again at %v", next.Sub(epoch))
	}
	out.WriteString("\n")
}

func shown(m *Machine) string {
	var all []string
	for _, s := range m.States() {
		text := s.Name + " " + string(s.Phase)
		if s.Why != "" {
			text += " (" + s.Why + ")"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func event(t *testing.T, f []string) Event {
	e := Event{Kind: Kind(f[0])}
	switch e.Kind {
	case Declare:
		for _, w := range f[1:] {
			e.Services = append(e.Services, service1(t, w))
		}
		return e
	case Ended:
		code, err := strconv.Atoi(f[2])
		e.Exit = Exit{Known: err == nil, Code: code, Why: strings.Join(f[3:], " ")}
	}
	if e.Kind == "unmet" {
		e.Kind, e.Exit = Ended, Exit{Why: strings.Join(f[2:], " "), Unmet: true}
	}
	if len(f) > 1 {
		e.Name = f[1]
	}
	return e
}

func service1(t *testing.T, text string) Service {
	parts := strings.Split(text, ",")
	name, after, _ := strings.Cut(parts[0], "<")
	s := Service{Name: name, Limit: 10 * time.Second, Restart: Always, MinPause: time.Second, MaxPause: time.Minute}
	if after != "" {
		s.After = strings.Split(after, "+")
	}
	for _, p := range parts[1:] {
		key, value, _ := strings.Cut(p, "=")
		d, _ := time.ParseDuration(value)
		switch key {
		case "restart":
			s.Restart = Restart(value)
		case "oneshot":
			s.Oneshot, s.Restart = true, Never
		case "every":
			s.Recurs, s.AtOnce = every(d), true
		case "starts":
			s.MaxStarts, _ = strconv.Atoi(value)
			s.Within = time.Minute
		case "v":
			s.Version = value
		default:
			t.Fatalf("%q: what is %q?", text, key)
		}
	}
	return s
}

type every time.Duration

func (e every) Next(t time.Time) time.Time { return t.Add(time.Duration(e)) }

func step(m *Machine, at time.Duration, e Event) (effects []Effect) {
	effects, _ = m.Step(epoch.Add(at), e)
	for i := 0; i < len(effects); i++ {
		if effects[i].Kind == Keep {
			effects = append(effects[:i], effects[i+1:]...)
			i--
		}
	}
	return effects
}

// phase is that of a service.
func phase(m *Machine, name string) Phase {
	s, _ := m.State(name)
	return s.Phase
}

func TestT14AFailedDependencyHoldsUpOnlyThoseThatNeedIt(t *testing.T) {
	m := New()
	step(m, 0, Event{Kind: Declare, Services: []Service{service1(t, "db,restart=never"), service1(t, "web<db"), service1(t, "other")}})
	step(m, 0, Event{Kind: Begin})
	step(m, 1, Event{Kind: Ended, Name: "db", Exit: Exit{Known: true, Code: 3, Why: "no disk"}})
	if s, _ := m.State("web"); s.Phase != Blocked || s.Why != "needs db, which is failed: no disk" {
		t.Errorf("web is %s: %s", s.Phase, s.Why)
	}
	if got := phase(m, "other"); got != Starting {
		t.Errorf("other is %s", got)
	}
}

func TestT15CyclesAndUnknownNamesHoldUpNobodyElse(t *testing.T) {
	m := New()
	step(m, 0, Event{Kind: Declare, Services: []Service{service1(t, "a<b"), service1(t, "b<a"), service1(t, "c<nobody"), service1(t, "d")}})
	step(m, 0, Event{Kind: Begin})
	for name, want := range map[string]Phase{"a": Blocked, "b": Blocked, "c": Blocked, "d": Starting} {
		if got := phase(m, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestT18OneThatIsStoppedWhileItRestsIsNotStarted(t *testing.T) {
	m := New()
	step(m, 0, Event{Kind: Declare, Services: []Service{service1(t, "x")}})
	step(m, 0, Event{Kind: Begin})
	step(m, 0, Event{Kind: Ended, Name: "x"})
	if got := phase(m, "x"); got != Resting {
		t.Fatalf("it is %s", got)
	}
	step(m, 1, Event{Kind: Down, Name: "x"})
	if effects := step(m, time.Hour, Event{Kind: Tick}); len(effects) > 0 || phase(m, "x") != Stopped {
		t.Errorf("%v, it is %s", effects, phase(m, "x"))
	}
}

// storm ends x as soon as it is started, and counts how often that is.
func storm(m *Machine, x string, until time.Duration) (starts int) {
	now := time.Duration(0)
	effects, next := m.Step(epoch, Event{Kind: Begin})
	for now < until {
		e := Event{Kind: Tick}
		for _, f := range effects {
			if f.Kind == Start && f.Name == x {
				starts++
				e = Event{Kind: Ended, Name: x}
			}
		}
		if e.Kind == Tick {
			if next.IsZero() {
				break
			}
			now = next.Sub(epoch)
		}
		effects, next = m.Step(epoch.Add(now), e)
	}
	return starts
}

func TestT19AsManyStartsAsTheLimitSays(t *testing.T) {
	for limit := 1; limit < 5; limit++ {
		m := New()
		step(m, 0, Event{Kind: Declare, Services: []Service{service1(t, fmt.Sprintf("x,starts=%d", limit))}})
		if got := storm(m, "x", time.Hour); got != limit || phase(m, "x") != Failed {
			t.Errorf("limit %d: %d starts, it is %s", limit, got, phase(m, "x"))
		}
		if effects := step(m, 2*time.Hour, Event{Kind: Up, Name: "x"}); len(effects) != 1 || effects[0].Kind != Start {
			t.Errorf("told to start: %v", effects)
		}
	}
}

func TestT20AStormIsSlow(t *testing.T) {
	m := New()
	step(m, 0, Event{Kind: Declare, Services: []Service{service1(t, "x")}})
	if got := storm(m, "x", time.Hour); got < 60 || got > 66 { // 7 while the pauses grow, then one a minute
		t.Errorf("%d starts in an hour", got)
	}
}

func TestT24TheLastResultOfOneThatRecursIsKept(t *testing.T) {
	m := New()
	step(m, 0, Event{Kind: Declare, Services: []Service{service1(t, "x,every=1m")}})
	step(m, 0, Event{Kind: Begin})
	step(m, time.Second, Event{Kind: Ended, Name: "x", Exit: Exit{Known: true, Code: 7, Why: "exit code 7"}})
	s, _ := m.State("x")
	if s.Phase != Scheduled || s.Last == nil || s.Last.Code != 7 || !s.Next.Equal(epoch.Add(61*time.Second)) {
		t.Errorf("%+v", s)
	}
	step(m, 61*time.Second, Event{Kind: Tick})
	if s, _ := m.State("x"); s.Phase != Running || s.Last.Code != 7 {
		t.Errorf("while it runs again: %+v", s)
	}
}
