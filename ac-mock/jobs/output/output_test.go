package output

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func open(t *testing.T, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func piece(job string, seq uint64, size int) Piece {
	return Piece{Job: job, Node: "020000000001", Seq: seq, Stream: "stderr", Data: bytes.Repeat([]byte{byte(seq)}, size), Time: t0}
}

func add(t *testing.T, l *Log, pieces ...Piece) {
	t.Helper()
	if err := l.Append(pieces); err != nil {
		t.Fatal(err)
	}
}

// read returns the numbers of a job's pieces from a position on.
func read(t *testing.T, l *Log, job string, from int64) (seqs []uint64, next, dropped int64) {
	t.Helper()
	next, dropped, err := l.Read(job, from, func(p Piece, _ int64) error {
		if p.Stream != "stderr" || p.Node != "020000000001" || !p.Time.Equal(t0) || len(p.Data) > 0 && p.Data[0] != byte(p.Seq) {
			t.Errorf("piece %+v", p)
		}
		seqs = append(seqs, p.Seq)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seqs, next, dropped
}

func TestReadFromWhereOneWas(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	add(t, l, piece("j", 1, 10), piece("k", 1, 10), piece("j", 2, 0))
	seqs, next, _ := read(t, l, "j", 0)
	if fmt.Sprint(seqs) != "[1 2]" {
		t.Errorf("%v", seqs)
	}
	add(t, l, piece("j", 3, 10))
	if seqs, _, _ := read(t, l, "j", next); fmt.Sprint(seqs) != "[3]" {
		t.Errorf("%v", seqs)
	}
	if seqs, _, _ := read(t, l, "nobody", 0); len(seqs) > 0 {
		t.Errorf("%v", seqs)
	}
}

// A file that was cut off anywhere, as a crash does, has all that was whole, and
// is appended to from there.
func TestCutOffAnywhere(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	add(t, l, piece("j", 1, 20))
	whole := l.Size()
	add(t, l, piece("j", 2, 20))
	path := filepath.Join(dir, name("j", 0))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := whole; cut < int64(len(text)); cut++ {
		torn := bytes.Clone(text[:cut])
		if cut%2 == 0 { // the size was written, and not what is in it
			torn = append(torn, make([]byte, int64(len(text))-cut)...)
		}
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		l := open(t, Options{Dir: dir})
		if last, err := l.Last("j"); err != nil || last["020000000001"] != 1 {
			t.Fatalf("cut at %d: %v, %v", cut, last, err)
		}
		add(t, l, piece("j", 3, 5))
		if seqs, _, _ := read(t, l, "j", 0); fmt.Sprint(seqs) != "[1 3]" {
			t.Fatalf("cut at %d: %v", cut, seqs)
		}
	}
}

// A job that says too much loses the oldest of it, and its reader is told how much.
func TestBoundOfAJob(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, PerJob: 4096})
	for i := range uint64(100) {
		add(t, l, piece("j", i+1, 200))
	}
	if size := l.Size(); size > 4096+300 {
		t.Errorf("it takes %d bytes", size)
	}
	seqs, next, dropped := read(t, l, "j", 0)
	if len(seqs) < 5 || seqs[len(seqs)-1] != 100 || dropped == 0 || dropped+l.Size() != next {
		t.Errorf("%v, %d bytes dropped", seqs, dropped)
	}
	again := open(t, Options{Dir: dir, PerJob: 4096})
	if same, _, _ := read(t, again, "j", 0); fmt.Sprint(same) != fmt.Sprint(seqs) || again.Size() != l.Size() {
		t.Errorf("after a restart: %v, want %v", same, seqs)
	}
}

// When there is too much of all, the oldest job's output goes.
func TestBoundOfAll(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), InAll: 4096})
	for i := range 20 {
		add(t, l, piece(fmt.Sprintf("j%02d", i), 1, 500))
	}
	if got := l.Jobs(); l.Size() > 4096 || len(got) < 5 || got[len(got)-1] != "j19" || got[0] != fmt.Sprintf("j%02d", 20-len(got)) {
		t.Errorf("%v are kept, in %d bytes", got, l.Size())
	}
	for _, id := range l.Jobs() {
		if err := l.Remove(id); err != nil {
			t.Error(err)
		}
	}
	if files, err := os.ReadDir(l.o.Dir); err != nil || len(files) > 0 || l.Size() != 0 {
		t.Errorf("%d files are left, %d bytes, %v", len(files), l.Size(), err)
	}
}

// Many append, read and remove at once.
func TestAtOnce(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), PerJob: 2048, InAll: 16 << 10})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range uint64(50) {
				var some []Piece
				for j := range 20 {
					some = append(some, piece(fmt.Sprintf("j%d", (w*7+j)%30), i+1, 50))
				}
				if err := l.Append(some); err != nil {
					t.Error(err)
				}
				if _, _, err := l.Read("j3", 0, func(Piece, int64) error { return nil }); err != nil {
					t.Error(err)
				}
				if i%10 == 0 {
					if err := l.Remove("j5"); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	var size int64
	files, err := os.ReadDir(l.o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			size += info.Size()
		}
	}
	if size != l.Size() {
		t.Errorf("%d bytes are on disk, %d are known", size, l.Size())
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(appendRecord(nil, piece("j", 1, 10)))
	f.Add([]byte{0, 0, 0, 18, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, text []byte) {
		p, size, _, err := readRecord(bytes.NewReader(text), nil)
		if err != nil {
			return
		}
		if again := appendRecord(nil, p); !bytes.Equal(again[recordHead+17:], text[recordHead+17:size]) {
			t.Errorf("%x came back as %x", text[:size], again)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	l, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, api.MaxPiece/2)
	b.SetBytes(int64(len(data)) * 64)
	var seq uint64
	for b.Loop() {
		var some []Piece
		for range 64 {
			seq++
			some = append(some, Piece{Job: "j", Node: "020000000001", Seq: seq, Stream: "stdout", Data: data, Time: t0})
		}
		if err := l.Append(some); err != nil {
			b.Fatal(err)
		}
	}
}
