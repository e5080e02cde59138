//go:build planted

package planted

import (
	"slices"
	"strings"
	"testing"
)

func TestOneBugAtATime(t *testing.T) {
	t.Cleanup(func() { _ = Set("") })
	for _, b := range All() {
		if err := Set(b); err != nil {
			t.Fatal(err)
		}
		for _, other := range All() {
			if Is(other) != (other == b) {
				t.Errorf("with %s planted, Is(%s) is %v", b, other, Is(other))
			}
		}
	}
}

func TestUnknownBugChangesNothing(t *testing.T) {
	t.Cleanup(func() { _ = Set("") })
	if err := Set(NoProbe); err != nil {
		t.Fatal(err)
	}
	err := Set("no-prob")
	if err == nil || !strings.Contains(err.Error(), string(CounterUnchecked)) || !Is(NoProbe) {
		t.Errorf("error %v, no-probe is planted: %v", err, Is(NoProbe))
	}
}

func TestAllAreListed(t *testing.T) {
	for _, name := range names(t) {
		if name != Variable && !slices.Contains(All(), Bug(name)) {
			t.Errorf("%s is not in the list", name)
		}
	}
}
