package kmsg

import (
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"
)

// lines is a kernel's log in memory: one Write is one record.
type lines []string

func (l *lines) Write(b []byte) (int, error) { *l = append(*l, string(b)); return len(b), nil }

func TestRecords(t *testing.T) {
	var got lines
	log := slog.New(New(&got))
	log.Info("disk", "name", "vda", "label", "G8 OS")
	log.With("unit", "state").Warn("no state disk", "error", "a\nb\x1b[2J")
	log.Error("bad")
	log.Debug("mark")
	want := []string{
		"<6>g8os: disk name=vda label=\"G8 OS\"\n",
		"<4>g8os: no state disk unit=state error=\"a\\nb\\x1b[2J\"\n",
		"<3>g8os: bad\n",
		"<7>g8os: mark\n",
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("record %d of %q, want %q", i, got, want[i])
		}
	}
}

func TestARecordIsOneBoundedLine(t *testing.T) {
	var got lines
	slog.New(New(&got)).Info("first\nsecond\r\x1b[2J\u009b2J" + strings.Repeat("ü", 2000))
	if len(got) != 1 || strings.Count(got[0], "\n") != 1 || strings.ContainsAny(got[0], "\x1b\r\u009b") || len(got[0]) > 1000 || !utf8.ValidString(got[0]) {
		t.Fatalf("%q", got)
	}
}
