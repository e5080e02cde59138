package compare

import (
	"strings"
	"testing"
	"time"
)

func spec(name, state string, labels ...string) Spec {
	return Spec{Name: name, State: state, Labels: labels, Took: 1500 * time.Millisecond}
}

func TestTable(t *testing.T) {
	table := Of([]Report{
		{"sim", []Spec{
			spec("b both", "passed", "sim", "netns"), spec("a real only", "skipped", "netns", "not sim: it reads files"),
			spec("c picked", "skipped", "sim", "netns"), spec("d other", "skipped", "netns", "not sim: it reads files"),
		}},
		{"netns", []Spec{
			spec("b both", "passed", "sim", "netns"), spec("a real only", "passed", "netns"),
			spec("c picked", "passed", "sim", "netns"), spec("d other", "failed", "netns"),
		}},
	})
	var b strings.Builder
	table.Write(&b)
	const want = `SCENARIO     SIM          NETNS
a real only  no (1)       passed 1.5s
b both       passed 1.5s  passed 1.5s
c picked     left out     passed 1.5s
d other      no (1)       FAILED 1.5s
(1) it reads files
sim: 1 passed, 0 failed, 2 do not run there, 1 left out
netns: 3 passed, 1 failed, 0 do not run there, 0 left out
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if err := table.Verdict(); err != nil {
		t.Errorf("nothing disagrees: %v", err)
	}
}

func TestVerdict(t *testing.T) {
	for name, c := range map[string]struct {
		sim, netns Spec
		want       string
	}{
		"disagree":  {spec("x", "passed", "sim"), spec("x", "timedout", "netns"), `"x" passed at sim and failed at netns`},
		"both fail": {spec("x", "failed", "sim"), spec("x", "panicked", "netns"), ""},
		"no reason": {spec("x", "skipped", "netns"), spec("x", "passed", "netns"), `"x" does not run at sim and does not say why`},
	} {
		err := Of([]Report{{"sim", []Spec{c.sim}}, {"netns", []Spec{c.netns}}}).Verdict()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
