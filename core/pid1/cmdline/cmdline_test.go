package cmdline

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	base := Args{Panic: DefaultPanic}
	with := func(change func(*Args)) Args { a := base; change(&a); return a }
	for _, c := range []struct {
		line     string
		want     Args
		problems int
	}{
		{"", base, 0},
		{"console=ttyS0 quiet panic=30 hold", base, 0},
		{"g8os.hold g8os.guest\n", with(func(a *Args) { a.Hold, a.Guest = true, true }), 0},
		{"g8os.hold g8os.hold=off", base, 0},
		{"g8os.hold=maybe", base, 1},
		{"g8os.state=off g8os.tools=off g8os.watchdog=off", with(func(a *Args) { a.NoState, a.NoTools, a.NoWatchdog = true, true, true }), 0},
		{"g8os.state", base, 1},
		{"g8os.state=/dev/vda", base, 1},
		{"g8os.hostname=n-1.grid", with(func(a *Args) { a.Hostname = "n-1.grid" }), 0},
		{`g8os.hostname="n1" "g8os.medium"`, with(func(a *Args) { a.Hostname, a.Medium = "n1", true }), 0},
		{"g8os.hostname=-n1", base, 1},
		{"g8os.hostname=", base, 1},
		{"g8os.token=g8t-1", with(func(a *Args) { a.Token = "g8t-1" }), 0},
		{"g8os.token g8os.token= g8os.token=" + strings.Repeat("x", 300), base, 3},
		{"g8os.panic=5", with(func(a *Args) { a.Panic = 5 * time.Second }), 0},
		{"g8os.panic=0", with(func(a *Args) { a.Panic = 0 }), 0},
		{"g8os.panic=-1 g8os.panic=5s g8os.panic=99999999999999999999", base, 3},
		{"g8os.nonsense g8os.", base, 2},
	} {
		got, problems := Parse(c.line)
		if got != c.want || len(problems) != c.problems {
			t.Errorf("%q: %+v, problems %v; want %+v and %d problems", c.line, got, problems, c.want, c.problems)
		}
	}
}

func TestHostname(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "A-1": true, "a.b": true, strings.Repeat("a", 64): true,
		"": false, ".": false, "a..b": false, "a b": false, "ä": false, "a-": false, "a/b": false, strings.Repeat("a", 65): false,
	} {
		if Hostname(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
