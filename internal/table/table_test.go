package table

import (
	"bytes"
	"strings"
	"testing"
)

func sample() Table {
	return Table{Head: []string{"NODE", "MAC", "CONTROLLER", "WAITS FOR"}, Wraps: true, Dispensable: []string{"MAC", "CONTROLLER"},
		Rows: [][]string{{"a-1", "02:00", "https://x", strings.Repeat("z", 90)}}}
}

func TestFit(t *testing.T) {
	for _, tt := range []struct {
		width      int
		head, left string
	}{
		{34, "NODE MAC CONTROLLER WAITS FOR", ""},
		{33, "NODE CONTROLLER WAITS FOR", "MAC"},
		{10, "NODE WAITS FOR", "MAC CONTROLLER"},
	} {
		got, left := sample().fit(tt.width)
		if head := strings.Join(got.Head, " "); head != tt.head || strings.Join(left, " ") != tt.left || len(got.Rows[0]) != len(got.Head) {
			t.Errorf("%d wide: %s, left out %v, row %v", tt.width, head, left, got.Rows[0])
		}
	}
}

// A cell that does not wrap counts in full.
func TestFitWithoutSentences(t *testing.T) {
	s := sample()
	s.Wraps = false
	if _, left := s.fit(80); len(left) != 2 {
		t.Errorf("left out %v", left)
	}
}

func TestNoTerminalGetsAll(t *testing.T) {
	var b bytes.Buffer
	if err := sample().Print(&b); err != nil || !strings.HasPrefix(b.String(), "NODE  MAC    CONTROLLER  WAITS FOR\na-1   02:00  https://x   zzz") {
		t.Errorf("%v\n%s", err, &b)
	}
}
