package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

var key = bytes.Repeat([]byte{7}, KeySize)

func open(t *testing.T, dir string, l Limits) (*Spool, Kept) {
	t.Helper()
	s, kept, err := Open(Options{Dir: dir, Key: key, Limits: l, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s, kept
}

// killed is what a g8os_core that is killed now leaves: the files as they are.
func killed(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "spool")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func piece(seq uint64, text string) Piece {
	return Piece{Seq: seq, Stream: 1, Read: [2]uint64{seq * 10, seq}, Data: []byte(text)}
}

func text(s *Spool, job string) (out string, last uint64) {
	for {
		p, ok := s.Read(job, last+1, make([]byte, 0, api.MaxPiece))
		if !ok {
			return out, last
		}
		out, last = out+string(p.Data), p.Seq
	}
}

func TestRecordsAndOutputOutliveAKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, _ := open(t, dir, Limits{})
	defer s.Close()
	exit := api.Frame{Type: api.FrameExit, Job: "a", Seq: 3, Code: 7}
	for _, r := range []Record{{ID: "a", Boot: "b1"}, {ID: "b", Boot: "b1", Builtin: api.BuiltinPing}, {ID: "a", Exit: &exit, Order: 1}} {
		if err := s.Keep(r); err != nil {
			t.Fatal(err)
		}
	}
	s.Append("a", piece(1, "one "))
	s.Append("a", piece(2, "two"))
	if err := s.KeepEvent(api.NodeEvent{Seq: 8, Text: "e"}, 0)(); err != nil {
		t.Fatal(err)
	}

	again, kept := open(t, killed(t, dir), Limits{})
	defer again.Close()
	if len(kept.Records) != 2 || kept.Records[0].Exit == nil || kept.Records[0].Exit.Code != 7 || kept.Records[1].Builtin != api.BuiltinPing ||
		kept.LastEvent != 8 || len(kept.Events) != 1 || kept.Events[0].Text != "e" || len(kept.Problems) != 0 {
		t.Errorf("%+v", kept)
	}
	if got, last := text(again, "a"); got != "one two" || last != 2 || again.Last("a").Read != [2]uint64{20, 2} || again.First("a") != 1 {
		t.Errorf("%q up to %d, read %v, first %d", got, last, again.Last("a").Read, again.First("a"))
	}
}

// Whatever a kill or a power cut leaves of the last piece, those before it are
// whole, and it goes on behind them.
func TestAPieceThatWasNotWrittenWholeIsCutOff(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, _ := open(t, dir, Limits{})
	if err := s.Keep(Record{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	for i, word := range []string{"one ", "two ", "three "} {
		s.Append("a", piece(uint64(i+1), word))
	}
	s.Close()
	files, _ := filepath.Glob(filepath.Join(dir, "out", "*", "*"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if n%7 != 0 && n < len(whole)-60 { // each place would take long
			continue
		}
		if err := os.WriteFile(files[0], append(whole[:n:n], make([]byte, n%3*50)...), 0o600); err != nil {
			t.Fatal(err)
		}
		s, kept := open(t, dir, Limits{})
		got, last := text(s, "a")
		if !strings.HasPrefix("one two three ", got) || len(kept.Problems) != 0 || n >= len(whole)-1 && last < 2 {
			t.Fatalf("cut at %d of %d: %q, %v", n, len(whole), got, kept.Problems)
		}
		s.Append("a", piece(last+1, "end"))
		if all, _ := text(s, "a"); all != got+"end" {
			t.Fatalf("cut at %d: then %q", n, all)
		}
		s.Close()
		s, _ = open(t, dir, Limits{})
		if all, _ := text(s, "a"); all != got+"end" {
			t.Fatalf("cut at %d: after one more start %q", n, all)
		}
		s.Close()
	}
}

func TestOutputOfAJobIsBounded(t *testing.T) {
	s, _ := open(t, filepath.Join(t.TempDir(), "spool"), Limits{Job: 64 << 10, Segment: 4 << 10})
	defer s.Close()
	data := strings.Repeat("x", 1000)
	const n = 1000
	for i := range n {
		s.Append("a", piece(uint64(i+1), data))
	}
	got, last := text(s, "a")
	if last != n || int64(len(got))+s.Dropped("a") != n*1000 {
		t.Errorf("%d bytes kept, %d dropped of %d, last %d", len(got), s.Dropped("a"), n*1000, last)
	}
	if len(got) < 48<<10 || len(got) > 64<<10 {
		t.Errorf("%d bytes are kept of 64 KiB that may be", len(got))
	}
	if p, _ := s.Read("a", 1, nil); p.Dropped != s.Dropped("a") || p.Seq < 900 {
		t.Errorf("the first piece there is: %d, %d dropped before it", p.Seq, p.Dropped)
	}
	s.Ack("a", n)
	if got, _ := text(s, "a"); len(got) > 5000 {
		t.Errorf("%d bytes are kept of what the AC has", len(got))
	}
}

// The oldest output of all jobs goes first; results do not.
func TestOutputOfAllJobsIsBounded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, _ := open(t, dir, Limits{All: 64 << 10, Segment: 4 << 10})
	defer s.Close()
	for j := range 40 {
		id := fmt.Sprint("j", j)
		if err := s.Keep(Record{ID: id, Exit: &api.Frame{Type: api.FrameExit, Job: id}}); err != nil {
			t.Fatal(err)
		}
		for i := range 6 {
			s.Append(id, piece(uint64(i+1), strings.Repeat("x", 1000)))
		}
	}
	if s.total > 72<<10 {
		t.Errorf("%d bytes are kept", s.total)
	}
	if first, _ := text(s, "j0"); len(first) > 3000 || s.Dropped("j0") < 3000 {
		t.Errorf("of the oldest job %d bytes are kept, %d dropped", len(first), s.Dropped("j0"))
	}
	if last, _ := text(s, "j39"); len(last) != 6000 {
		t.Errorf("of the newest job %d bytes are kept", len(last))
	}
	if _, kept := open(t, killed(t, dir), Limits{}); len(kept.Records) != 40 {
		t.Errorf("%d results are kept of 40", len(kept.Records))
	}
}

func TestADamagedSpoolIsSetAside(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, db string){
		"another file": func(t *testing.T, db string) { put(t, db, bytes.Repeat([]byte("no database "), 5000)) },
		"short":        func(t *testing.T, db string) { cut(t, db, 3) },
		"half a page":  func(t *testing.T, db string) { cut(t, db, 6000) },
		"zeros":        func(t *testing.T, db string) { put(t, db, make([]byte, 1<<16)) },
		"another key":  func(t *testing.T, db string) {},
		"bad pages": func(t *testing.T, db string) {
			b, err := os.ReadFile(db)
			if err != nil {
				t.Fatal(err)
			}
			for i := 8192; i < len(b); i += 64 {
				b[i] ^= 0xff
			}
			put(t, db, b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "spool")
			s, _ := open(t, dir, Limits{})
			for i := range 50 {
				if err := s.Keep(Record{ID: fmt.Sprint(i)}); err != nil {
					t.Fatal(err)
				}
			}
			s.Append("1", piece(1, "x"))
			s.Close()
			damage(t, filepath.Join(dir, "records.db"))
			k := key
			if name == "another key" {
				k = bytes.Repeat([]byte{8}, KeySize)
			}
			s, kept, err := Open(Options{Dir: dir, Key: k, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if len(kept.Problems) != 1 || !strings.Contains(kept.Problems[0], dir+".damaged") || len(kept.Records) != 0 {
				t.Errorf("%+v", kept)
			}
			if err := s.Keep(Record{ID: "new"}); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(dir + ".damaged"); err != nil {
				t.Error(err)
			}
		})
	}
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, path string, n int64) {
	t.Helper()
	if err := os.Truncate(path, n); err != nil {
		t.Fatal(err)
	}
}

// A disk that takes nothing: output stays in memory, bounded, and records are
// written when it takes them again.
func TestADiskThatTakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	put(t, dir, nil) // where the folder would be
	s, kept := open(t, dir, Limits{Memory: 10_000})
	defer s.Close()
	if len(kept.Problems) != 1 {
		t.Errorf("%+v", kept)
	}
	if err := s.Keep(Record{ID: "a"}); err == nil || s.Fault() == nil {
		t.Error("it says that it kept a record")
	}
	for i := range 100 {
		s.Append("a", piece(uint64(i+1), strings.Repeat("x", 1000)))
	}
	got, last := text(s, "a")
	if last != 100 || len(got) < 5000 || len(got) > 10_000 || s.Dropped("a") != int64(100_000-len(got)) {
		t.Errorf("%d bytes up to %d, %d dropped", len(got), last, s.Dropped("a"))
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "out"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Keep(Record{ID: "b"}); err != nil {
		t.Error(err)
	}
	s.Ack("a", 100)
	s.Append("a", piece(101, "on the disk"))
	again, kept := open(t, killed(t, dir), Limits{})
	defer again.Close()
	if got, _ := text(again, "a"); len(kept.Records) != 2 || got != "on the disk" {
		t.Errorf("%+v, %q", kept, got)
	}
}

// Everything that waits is in one commit.
func TestCommitsAreShared(t *testing.T) {
	s, _ := open(t, filepath.Join(t.TempDir(), "spool"), Limits{})
	defer s.Close()
	began := time.Now()
	if err := s.Keep(Record{ID: "one"}); err != nil {
		t.Fatal(err)
	}
	one := time.Since(began)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			if err := s.Keep(Record{ID: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var commits int
	s.records.mu.Lock()
	commits = s.records.commits
	s.records.mu.Unlock()
	if commits > 100 {
		t.Errorf("201 records took %d commits (one took %s)", commits, one)
	}
}

// Nothing can be read from the disk without the key.
func TestTheDiskAloneTellsNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, _ := open(t, dir, Limits{})
	exit := api.Frame{Type: api.FrameExit, Job: "restart-payroll", Error: "hunter2"}
	if err := s.Keep(Record{ID: "restart-payroll", Exit: &exit}); err != nil {
		t.Fatal(err)
	}
	s.Append("restart-payroll", piece(1, "hunter2"))
	_ = s.KeepEvent(api.NodeEvent{Seq: 1, Text: "hunter2"}, 0)()
	s.Close()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if bytes.Contains(raw, []byte("hunter2")) || bytes.Contains(raw, []byte("payroll")) || strings.Contains(path, "payroll") {
			t.Errorf("%s says what it holds", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool.key")
	if _, err := Key(path, false); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	first, err := Key(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Key(path, false); err != nil || !bytes.Equal(first, again) || len(again) != KeySize {
		t.Errorf("%d bytes, %v", len(again), err)
	}
	put(t, path, []byte("short"))
	if _, err := Key(path, false); err == nil {
		t.Error("a short key is taken")
	}
	if again, err := Key(path, true); err != nil || bytes.Equal(first, again) {
		t.Errorf("a damaged key is not replaced: %v", err)
	}
}

// What is left when the oldest was dropped is read from its first piece on.
func TestReadingBeginsBehindWhatWasDropped(t *testing.T) {
	s, _ := open(t, filepath.Join(t.TempDir(), "spool"), Limits{Job: 16 << 10, Segment: 4 << 10})
	defer s.Close()
	for i := range 100 {
		s.Append("a", piece(uint64(i+1), strings.Repeat("x", 1000)))
	}
	if p, ok := s.Read("a", 1, nil); !ok || p.Seq != s.First("a") || p.Stream != 1 || len(p.Data) != 1000 {
		t.Errorf("%v: piece %d, stream %d, %d bytes; the first is %d", ok, p.Seq, p.Stream, len(p.Data), s.First("a"))
	}
}
