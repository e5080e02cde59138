// Package transcript holds a step function against scripts: events in, effects
// out, both in one text file under testdata.
//
// It promises that a difference is shown where it begins, that the same script
// gives the same history twice, and that -rewrite writes what happens now into
// the files, for the diff to be reviewed. What a script's lines mean is for the
// package whose machine it is.
package transcript

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what the machine does into the transcripts, for the diff to be read")

// Test plays every script testdata/*.txt. play returns the script with what
// the machine does filled in, in place of what it did last time.
func Test(t *testing.T, play func(t *testing.T, script string) string) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { one(t, file, play) })
	}
}

func one(t *testing.T, file string, play func(*testing.T, string) string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	got := play(t, want)
	if again := play(t, want); again != got {
		t.Errorf("%s: the same script gave another history: %s", file, Difference(got, again))
	}
	switch {
	case got == want:
	case *rewrite:
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s differs; if what happens now is right, run this test with -rewrite and read the diff\n%s",
			file, Difference(want, got))
	}
}

// Difference shows the first line in which two texts differ, empty if none.
func Difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d\n  want %s\n  got  %s", i+1, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		return fmt.Sprintf("one has %d lines, the other %d", len(a), len(b))
	}
	return ""
}
