package spool

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/g8os/g8os/core/api"
)

// said is a piece of some length whose bytes nobody else has said.
func said(seq uint64, size int) Piece {
	p := piece(seq, string(bytes.Repeat([]byte{byte(seq), byte(seq >> 8)}, size/2+1))[:size])
	p.Stream = byte(1 + seq%2)
	return p
}

// expect reads a job from a number on and compares.
func expect(t *testing.T, s *Spool, job string, from, last uint64, sizes []int) {
	t.Helper()
	for seq := from; seq <= last; seq++ {
		got, ok := s.Read(job, seq, make([]byte, 0, api.MaxPiece))
		want := said(seq, sizes[seq-1])
		if !ok || got.Seq != seq || got.Stream != want.Stream || got.Read != want.Read || !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("piece %d of %d to %d: %v, number %d, %d bytes", seq, from, last, ok, got.Seq, len(got.Data))
		}
	}
	if p, ok := s.Read(job, last+1, nil); ok {
		t.Fatalf("there is a piece %d behind the last, %d", p.Seq, last)
	}
}

// Files are used again, and pieces remembered: what the AC does not have is read
// as it was said, also by who finds only the files.
func TestWhatTheACLacksIsThereWheneverOneIsKilled(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 1))
		dir := filepath.Join(t.TempDir(), "spool")
		s, _ := open(t, dir, Limits{Segment: 16 << 10})
		if err := s.Keep(Record{ID: "a"}); err != nil {
			t.Fatal(err)
		}
		var sizes []int
		var acked uint64
		for i := range 400 {
			for range r.IntN(4) {
				sizes = append(sizes, 1+r.IntN([]int{40, 5000, 40_000}[r.IntN(3)]))
				s.Append("a", said(uint64(len(sizes)), sizes[len(sizes)-1]))
			}
			last := uint64(len(sizes))
			if r.IntN(3) == 0 && last > acked {
				acked += r.Uint64N(last - acked + 1)
				s.Ack("a", acked)
			}
			expect(t, s, "a", acked+1, last, sizes)
			if i%20 > 0 {
				continue
			}
			again, kept := open(t, killed(t, dir), Limits{Segment: 16 << 10})
			expect(t, again, "a", acked+1, last, sizes)
			again.Append("a", Piece{Seq: last + 1, Stream: 1, Data: []byte("x")})
			if p, ok := again.Read("a", last+1, nil); !ok || string(p.Data) != "x" || len(kept.Problems) > 0 {
				t.Fatalf("seed %d: it does not go on: %v, %q", seed, kept.Problems, p.Data)
			}
			again.Close()
		}
		s.remove("a")
		if s.recent != 0 || s.total != 0 {
			t.Errorf("%d bytes are remembered of a job that is forgotten, %d counted", s.recent, s.total)
		}
		s.Close()
	}
}

// Jobs that nobody takes anything of do not fill the memory.
func TestWhatIsRememberedIsBounded(t *testing.T) {
	s, _ := open(t, filepath.Join(t.TempDir(), "spool"), Limits{})
	defer s.Close()
	size := func(seq uint64) int { return []int{100, 30_000, api.MaxPiece}[seq%3] }
	const jobs, each = 8, 40
	var sizes []int
	for seq := range uint64(each) {
		sizes = append(sizes, size(seq+1))
		for j := range jobs {
			s.Append(fmt.Sprint(j), said(seq+1, size(seq+1)))
		}
	}
	if s.recent > recentMost || s.recent < recentMost/2 {
		t.Errorf("%d bytes are remembered, of at most %d", s.recent, recentMost)
	}
	for j := range jobs {
		expect(t, s, fmt.Sprint(j), 1, each, sizes)
		s.Ack(fmt.Sprint(j), each)
	}
	if s.recent != 0 {
		t.Errorf("%d bytes are remembered of what the AC has", s.recent)
	}
}
