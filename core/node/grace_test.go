package node

import (
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/unlock/grace"
)

// What a console shows is what is traded, whoever holds the grace.
func TestStanding(t *testing.T) {
	left := grace.Verdict{Open: true, Left: 23*time.Hour + time.Minute + time.Second, Boots: 2}
	for _, c := range []struct {
		v           grace.Verdict
		byTPM, open bool
		want        []string
	}{
		{left, true, false, []string{"unlocks without an AC", "23h1m0s and 2 boots", "the whole machine"}},
		{left, false, false, []string{"unlocks without an AC", "the disk, or copies it", "there is no TPM"}},
		{left, true, true, []string{"was opened without an AC", "the whole machine"}},
		{grace.Verdict{Why: "grace is over"}, true, false, []string{"grace is over"}},
		{grace.Verdict{Why: "used up"}, true, true, []string{"was opened without an AC", "0s and 0 boots"}},
	} {
		got := standing(c.v, c.byTPM, c.open)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%+v: %q, want %q in it", c, got, want)
			}
		}
	}
}
