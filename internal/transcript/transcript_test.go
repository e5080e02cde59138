package transcript

import (
	"strings"
	"testing"
)

func TestDifference(t *testing.T) {
	if d := Difference("a\nb\n", "a\nb\n"); d != "" {
		t.Errorf("equal texts differ: %s", d)
	}
	if d := Difference("a\nb\n", "a\nc\n"); !strings.HasPrefix(d, "line 2") {
		t.Errorf("difference in line 2 is shown as %q", d)
	}
	if d := Difference("a\n", "a\nb\n"); d == "" {
		t.Error("a missing line is no difference")
	}
}

func TestScriptsArePlayed(t *testing.T) {
	played := 0
	Test(t, func(_ *testing.T, script string) string {
		played++
		return script
	})
	if played != 2 {
		t.Errorf("one script was played %d times, want twice", played)
	}
}
