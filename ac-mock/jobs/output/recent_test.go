package output

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// all is what is read of a job from a position on, and where.
func all(t *testing.T, l *Log, job string, from int64) (text string) {
	t.Helper()
	next, dropped, err := l.Read(job, from, func(p Piece, next int64) error {
		text += fmt.Sprintf("%s %d %s %s %x at %d\n", p.Node, p.Seq, p.Time.Format(time.RFC3339Nano), p.Stream, p.Data, next)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return text + fmt.Sprintf("%d dropped, next %d", dropped, next)
}

// What is remembered is read as it is in the files, from wherever one reads.
func TestRememberedIsWhatIsInTheFiles(t *testing.T) {
	dir, r := t.TempDir(), rand.New(rand.NewPCG(1, 2))
	o := Options{Dir: dir, PerJob: 20_000, InAll: 50_000}
	l := open(t, o)
	for range 25 {
		var some []Piece
		for range r.IntN(20) {
			p := piece(fmt.Sprintf("j%d", r.IntN(4)), r.Uint64N(1000), r.IntN(300))
			p.Time = time.Date(2026, 1, 2, 3, 4, r.IntN(60), r.IntN(1e9), time.FixedZone("", 3600))
			some = append(some, p)
		}
		add(t, l, some...)
		again := open(t, o)
		for _, id := range again.Jobs() {
			var at []int64
			if _, _, err := again.Read(id, 0, func(_ Piece, next int64) error { at = append(at, next); return nil }); err != nil {
				t.Fatal(err)
			}
			for _, from := range append(at, 0)[r.IntN(len(at)+1):] {
				if got, want := all(t, l, id, from), all(t, again, id, from); got != want {
					t.Fatalf("%s from %d:\n%s\nin its files:\n%s", id, from, got, want)
				}
			}
		}
	}
	for _, id := range l.Jobs() {
		if err := l.Remove(id); err != nil {
			t.Error(err)
		}
	}
	if l.recent != 0 || len(l.recalls) != 0 {
		t.Errorf("%d pieces of %d bytes are remembered of what was removed", len(l.recalls), l.recent)
	}
}

func TestRememberedIsBounded(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	for i := range uint64(40) {
		for j := range 4 {
			add(t, l, piece(fmt.Sprint(j), i+1, 60_000))
		}
	}
	if l.recent > recentMost || l.recent < recentMost/2 || len(l.recalls) > int(recentMost/60_000) {
		t.Errorf("%d pieces of %d bytes are remembered, of at most %d", len(l.recalls), l.recent, recentMost)
	}
	for j := range 4 {
		if seqs, _, _ := read(t, l, fmt.Sprint(j), 0); len(seqs) != 40 || seqs[39] != 40 {
			t.Errorf("job %d: %v", j, seqs)
		}
	}
}
