package bootlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siderolabs/go-kmsg"
	"golang.org/x/sys/unix"
)

// rig is a running log whose clock the test turns.
type rig struct {
	*Log
	up   atomic.Int64
	said bytes.Buffer
}

func run(t *testing.T) *rig {
	t.Helper()
	r := &rig{}
	r.Log = New(func() time.Duration { return time.Duration(r.up.Load()) }, slog.New(slog.NewTextHandler(&r.said, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

func (r *rig) attach(t *testing.T, dir, first string) Last {
	t.Helper()
	last, err := r.Attach(t.Context(), dir, first)
	if err != nil {
		t.Fatal(err)
	}
	return last
}

func content(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// What a disk from anywhere has for a log is neither waited for nor read in full.
func TestTheLastBootOfAStrangeDisk(t *testing.T) {
	dir := t.TempDir()
	fifo, huge := filepath.Join(dir, "fifo"), filepath.Join(dir, "huge")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ending(fifo); got.Known {
		t.Errorf("a FIFO: %+v", got)
	}
	if err := errors.Join(os.WriteFile(huge, nil, 0o600), os.Truncate(huge, 1<<40)); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(huge, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("\n" + endMark + "reboot\n"); err != nil {
		t.Fatal(err)
	}
	if got := ending(huge); got.How != "reboot" {
		t.Errorf("a tebibyte: %+v", got)
	}
}

func TestLinesBeforeTheDiskAreKept(t *testing.T) {
	r, dir := run(t), t.TempDir()
	r.up.Store(int64(1500 * time.Millisecond))
	r.Line(Info, "early\nand broken\u009b2J\x1b[2J")
	r.attach(t, dir, "kernel 6.1")
	r.Line(Warn, "later")
	if err := r.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := "=== boot: kernel 6.1\n     1.500 info  early and broken 2J [2J\n     1.500 warn  later\n"
	if got := content(t, Path(dir, 0)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestFiveBootsAreKeptAndSayHowTheyEnded(t *testing.T) {
	dir := t.TempDir()
	for i := range 8 {
		r := run(t)
		last := r.attach(t, dir, fmt.Sprint("boot number ", i))
		switch i {
		case 0:
			if last.Known || last.Notice() != "" {
				t.Errorf("before the first boot: %+v", last)
			}
		case 4, 6: // the boots before were cut off, and died of a panic
			if !last.Known || last.Notice() == "" || strings.Contains(last.Notice(), "panic") != (i == 6) {
				t.Errorf("boot %d: %+v, %q", i, last, last.Notice())
			}
		default:
			if last.How != "power off" || last.Notice() != "" {
				t.Errorf("boot %d: %+v", i, last)
			}
		}
		how := map[int]string{5: "panic of PID 1: x"}[i]
		if how == "" {
			how = "power off"
		}
		if i == 3 {
			continue
		}
		if err := r.End(t.Context(), how); err != nil {
			t.Fatal(err)
		}
		r.Line(Error, "after the end")
		if err := r.Sync(t.Context()); err != nil || strings.Contains(content(t, Path(dir, 0)), "after the end") {
			t.Errorf("wrote after the end, %v", err)
		}
	}
	for boot := 0; boot >= Oldest; boot-- {
		if got := content(t, Path(dir, boot)); !strings.Contains(got, fmt.Sprint("boot number ", 7+boot)) {
			t.Errorf("boot %d: %q", boot, got)
		}
	}
	if _, err := os.Stat(Path(dir, Oldest-1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a sixth boot is kept: %v", err)
	}
}

func TestAFloodIsBoundedAndCounted(t *testing.T) {
	r, dir := run(t), t.TempDir()
	r.Line(Info, "the beginning")
	r.attach(t, dir, "flood")
	for i := range 20 * burst {
		r.Line(Info, strings.Repeat("x", maxLine))
		if i%100 == 0 {
			r.up.Add(int64(perLine))
		}
	}
	r.Line(Error, "what explains it")
	r.up.Add(int64(time.Minute))
	r.Line(Info, "calm again")
	if err := r.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := content(t, Path(dir, 0))
	if len(got) > maxFile {
		t.Errorf("the file has %d bytes, at most %d", len(got), maxFile)
	}
	for _, want := range []string{"the beginning", "what explains it", "calm again", "lines left out: too many", "bytes left out here"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestNobodyTakesTheLines(t *testing.T) {
	up := time.Duration(0)
	l := New(func() time.Duration { return up }, slog.New(slog.DiscardHandler))
	for i := range 3 * maxQueue {
		up += perLine
		l.Line(Info, fmt.Sprint(i))
	}
	if n := len(l.queue); n > maxQueue || l.queue[n-1].text != fmt.Sprint(3*maxQueue-1) {
		t.Errorf("%d lines wait, the last is %+v", n, l.queue[n-1])
	}
}

func TestAFullDiskIsSaidOnceAndTriedAgain(t *testing.T) {
	r, dir := run(t), t.TempDir()
	r.attach(t, dir, "x")
	full := func() { // from here on, every write fails as on a full disk
		f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		r.file.f.Close()
		r.file.f = f
	}
	if err := r.do(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	r.Line(Info, "lost")
	r.Sync(t.Context())
	r.Line(Info, "kept")
	r.Sync(t.Context())
	if n := strings.Count(r.said.String(), "no space left"); n != 1 {
		t.Errorf("complained %d times: %s", n, &r.said)
	}
	r.up.Add(int64(2 * retry))
	r.Sync(t.Context())
	if got := content(t, Path(dir, 0)); !strings.Contains(got, "kept") {
		t.Errorf("not tried again: %q", got)
	}
}

func TestADiskThatHangsHoldsUpNobody(t *testing.T) {
	r, dir := run(t), t.TempDir()
	release := make(chan struct{})
	defer close(release)
	r.attach(t, dir, "x")
	go r.do(context.Background(), func() { <-release }) // as a write on a dead disk
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for range 100 {
		r.Line(Info, "does not wait")
	}
	for r.Sync(ctx) == nil { // until the hanging call is the one in hand
	}
	if err := r.End(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestWhereItCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	if _, err := run(t).Attach(t.Context(), filepath.Join(file, "dir"), "x"); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("%v", err)
	}
}

func TestCutKeepsWholeLines(t *testing.T) {
	raw := []byte(strings.Repeat("0123456789\n", 100))
	got := string(cut(raw, 105, 105))
	for i, l := range strings.Split(strings.TrimSuffix(got, "\n"), "\n") {
		if l != "0123456789" && l != fmt.Sprintf("=== %d bytes left out here", 1100-18*11) {
			t.Errorf("line %d: %q", i, l)
		}
	}
	if string(cut(raw, 600, 600)) != string(raw) {
		t.Error("cut what fits")
	}
}

func TestTheDaemonsLines(t *testing.T) {
	l := New(func() time.Duration { return 0 }, slog.New(slog.DiscardHandler))
	w := l.Writer("core: ")
	for _, part := range []string{"time=1 level=WA", "RN msg=a\ntime=2 level=ERROR msg=b\n\n", "panic: c\nplain ", strings.Repeat("y", 1<<20), "\nz"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	want := []line{{0, Warn, "core: time=1 level=WARN msg=a"}, {0, Error, "core: time=2 level=ERROR msg=b"}, {0, Error, "core: panic: c"}}
	if len(l.queue) != 4 || len(l.queue[3].text) > maxLine+3 || l.queue[3].level != Info {
		t.Fatalf("%d lines", len(l.queue))
	}
	for i, w := range want {
		if l.queue[i] != w {
			t.Errorf("%+v, want %+v", l.queue[i], w)
		}
	}
}

func TestTheKernelsLines(t *testing.T) {
	l := New(func() time.Duration { return time.Hour }, slog.New(slog.DiscardHandler))
	l.kernel(kmsg.Message{Clock: 424069, Priority: kmsg.Warning, Message: "pci: odd\n SUBSYSTEM=acpi\n"})
	l.kernel(kmsg.Message{Clock: 424070, Facility: kmsg.User, Priority: kmsg.Info, Message: "g8os: hello"})
	if l.queue[0] != (line{424069 * time.Microsecond, Warn, "kernel: pci: odd"}) || l.queue[1].text != "g8os: hello" {
		t.Errorf("%+v", l.queue)
	}
}

func TestCrashesAreCollected(t *testing.T) {
	dir := t.TempDir()
	store, kept := filepath.Join(dir, "pstore"), filepath.Join(dir, "crash")
	if crashes, err := Collect(store, kept); err != nil || crashes != nil || CrashNotice(crashes) != "" {
		t.Fatalf("without pstore: %v, %v", crashes, err)
	}
	os.MkdirAll(store, 0o700)
	when := time.Date(2026, 11, 23, 22, 1, 2, 0, time.UTC)
	for name, text := range map[string]string{"dmesg-erst-1": "Oops#1 Part1\n<4>x", "dmesg-erst-2": "Panic#2 Part1\n<0>Kernel panic", "console-1": "hello # there"} {
		path := filepath.Join(store, name)
		os.WriteFile(path, []byte(text), 0o600)
		os.Chtimes(path, when, when)
	}
	crashes, err := Collect(store, kept)
	if err != nil || len(crashes) != 3 {
		t.Fatalf("%v, %v", crashes, err)
	}
	want := filepath.Join(kept, "2026-11-23T220102-dmesg-erst-2")
	if got := CrashNotice(crashes); got != "the last boot ended in a panic: "+want {
		t.Error(got)
	}
	if !strings.Contains(content(t, want), "Kernel panic") {
		t.Error("the record has another text")
	}
	if left, _ := os.ReadDir(store); len(left) != 0 {
		t.Errorf("%d records are still in the firmware", len(left))
	}
	for i := range 2 * maxCrashes {
		os.WriteFile(filepath.Join(kept, fmt.Sprintf("2020-01-01T000000-%03d", i)), nil, 0o600)
	}
	os.WriteFile(filepath.Join(store, "one-more"), []byte("x"), 0o600)
	if _, err := Collect(store, kept); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(kept); len(left) != maxCrashes {
		t.Errorf("%d records are kept, want %d", len(left), maxCrashes)
	}
	content(t, want) // the newest stay
}
