package trial

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/internal/transcript"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// TestTranscripts plays the scripts of testdata: a line is an event, the lines
// after it that begin with a blank are what follows.
func TestTranscripts(t *testing.T) { transcript.Test(t, play) }

// node is a node of a script.
type node struct {
	record  Record
	builtIn Build
	sameRun bool
	damaged map[string]bool
	now     time.Time
	watch   *Watch
	guard   *Guard
}

func play(t *testing.T, script string) string {
	var out strings.Builder
	n := &node{builtIn: build("v1"), now: t0, damaged: map[string]bool{}}
	for lines := bufio.NewScanner(strings.NewReader(script)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, " ") {
			continue
		}
		fmt.Fprintln(&out, line)
		if line != "" && line[0] != '#' {
			n.event(t, &out, strings.Fields(line))
		}
	}
	return out.String()
}

// build is a version v1, v2, …; each is a day younger than the one before.
func build(v string) Build {
	var n int
	_, _ = fmt.Sscanf(v, "v%d", &n)
	return Build{Version: v, Built: t0.Add(time.Duration(n-100) * 24 * time.Hour)}
}

func (n *node) event(t *testing.T, out *strings.Builder, w []string) {
	say := func(format string, args ...any) { fmt.Fprintf(out, "    "+format+"\n", args...) }
	switch w[0] {
	case "begin": // ID VERSION
		r, err := n.record.Begin(w[2], build(w[2]), n.builtIn, Trial{ID: w[1], Since: n.now, Within: time.Minute})
		if err != nil {
			say("refused: %v", err)
			return
		}
		n.record, n.sameRun = r, true
	case "power": // lost and back
		n.sameRun = false
		n.start(say)
	case "start":
		n.start(say)
	case "proved":
		n.record = n.record.Proved(w[1], n.now)
	case "back": // ID
		n.record = n.record.RolledBack(w[1], "it was told so", n.now)
	case "damage":
		n.damaged[w[1]] = true
	case "package":
		n.builtIn = build(w[1])
	case "watch":
		n.watch = NewWatch(time.Minute, n.now)
		return
	case "guard":
		n.guard = NewGuard(time.Minute, n.now)
		return
	case "after": // TIME, then what is seen
		d, err := time.ParseDuration(w[1])
		if err != nil {
			t.Fatal(err)
		}
		n.now = n.now.Add(d)
		n.look(say, strings.Join(w[2:], " "))
		return
	default:
		t.Fatalf("no such event: %q", w)
	}
	n.show(say)
}

func (n *node) start(say func(string, ...any)) {
	whole := func(sum string) error {
		if n.damaged[sum] {
			return errors.New(sum + " is damaged")
		}
		return nil
	}
	next, run, why := n.record.Start(World{BuiltIn: n.builtIn, SameRun: n.sameRun, Whole: whole}, n.now)
	n.record = next
	say("run %s %s", cmp.Or(run, "built in"), why)
}

func (n *node) look(say func(string, ...any), seen string) {
	has := func(what string) bool { return strings.Contains(seen, what) }
	if n.guard != nil {
		act, why := n.guard.Step(Seen{Trial: has("trial"), Alive: has("alive"), Answers: has("answers")}, n.now)
		say("guard: %s %s", act, why)
	}
	if n.watch != nil {
		v, why := n.watch.Step(has("managed"), seen, n.now)
		say("%s %s", v, why)
	}
}

func (n *node) show(say func(string, ...any)) {
	r := n.record
	say("current %s, before it %s", cmp.Or(r.Current, "built in"), cmp.Or(r.Previous, "built in"))
	if r.Trial != nil {
		say("trial %s, started %v", r.Trial.ID, r.Trial.Started)
	}
	if l := r.Last; l != nil {
		say("last %s: %s, proved %v %s", l.ID, l.Build.Version, l.Proved, l.Why)
	}
}
