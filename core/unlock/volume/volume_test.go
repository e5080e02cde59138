package volume

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/internal/testenv"
	"github.com/g8os/g8os/core/process"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var password = api.Secret(bytes.Repeat([]byte{0xA5}, 32))

func options(t *testing.T) Options {
	dir := t.TempDir()
	return Options{
		Cipher: filepath.Join(dir, "a,b #1", "private"), Mount: filepath.Join(dir, "open here"), RunDir: filepath.Join(dir, "run"),
		Binary: testenv.Gocryptfs(t), Log: slog.New(slog.DiscardHandler),
	}
}

// made returns a volume that was made and is closed at the end.
func made(t *testing.T) *Volume {
	t.Helper()
	v := New(options(t))
	must(t, v.Init(t.Context(), password))
	t.Cleanup(func() { _ = v.Unmount(context.Background()) })
	return v
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantState(t *testing.T, v *Volume, want State) {
	t.Helper()
	if got, err := v.State(); err != nil || got != want {
		t.Fatalf("state %s, %v, want %s", got, err, want)
	}
}

func TestFromAbsentToMountedAndBack(t *testing.T) {
	v := New(options(t))
	wantState(t, v, Absent)
	must(t, v.Init(t.Context(), password))
	wantState(t, v, Made)
	must(t, v.Mount(t.Context(), password))
	wantState(t, v, Mounted)
	must(t, os.WriteFile(filepath.Join(v.o.Mount, "note"), []byte("kept"), 0o600))
	died := v.Died()
	must(t, v.Unmount(t.Context()))
	<-died
	wantState(t, v, Made)
	must(t, v.Unmount(t.Context()))

	must(t, v.Init(t.Context(), password)) // nothing happens to a volume that is there
	must(t, v.Mount(t.Context(), password))
	if b, err := os.ReadFile(filepath.Join(v.o.Mount, "note")); err != nil || string(b) != "kept" {
		t.Fatalf("%q, %v", b, err)
	}
	must(t, v.Unmount(t.Context()))
}

func TestWrongPasswordIsToldApart(t *testing.T) {
	v := made(t)
	if err := v.Mount(t.Context(), api.Secret("wrong")); !errors.Is(err, ErrPassword) {
		t.Fatal(err)
	}
	wantState(t, v, Made)
}

func TestAKilledInitLeavesNothingInTheWay(t *testing.T) {
	o := options(t)
	must(t, os.MkdirAll(o.Cipher+".new", 0o700))
	must(t, os.WriteFile(filepath.Join(o.Cipher+".new", confName), []byte("half"), 0o600))
	must(t, os.Mkdir(o.Cipher, 0o755)) // an image may bring the empty folder
	v := New(o)
	wantState(t, v, Absent)
	must(t, v.Init(t.Context(), password))
	must(t, v.Mount(t.Context(), password))
	must(t, v.Unmount(t.Context()))
}

func TestDamagedVolumesAreReportedAndLeftAlone(t *testing.T) {
	v := made(t)
	conf := filepath.Join(v.o.Cipher, confName)
	must(t, os.Chmod(conf, 0o600))
	must(t, os.WriteFile(conf, []byte("{"), 0o600))
	if err := v.Mount(t.Context(), password); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), v.spare()) {
		t.Fatalf("damaged description: %v", err)
	}
	must(t, os.Remove(conf))
	wantState(t, v, Broken)
	if err := v.Init(t.Context(), password); !errors.Is(err, ErrDamaged) {
		t.Fatalf("init over ciphertext: %v", err)
	}
	if _, err := os.Stat(filepath.Join(v.o.Cipher, "gocryptfs.diriv")); err != nil {
		t.Fatalf("ciphertext is gone: %v", err)
	}
	spare, err := os.ReadFile(v.spare()) // the remedy that the error names
	must(t, err)
	must(t, os.WriteFile(conf, spare, 0o400))
	must(t, v.Mount(t.Context(), password))
}

func TestAKilledDaemonIsSeenAndTheVolumeOpensAgain(t *testing.T) {
	v := made(t)
	must(t, v.Mount(t.Context(), password))
	must(t, syscall.Kill(v.daemon().ID().PID, syscall.SIGKILL))
	<-v.Died()
	wantState(t, v, Dead)
	must(t, v.Unmount(t.Context()))
	must(t, v.Mount(t.Context(), password))
	wantState(t, v, Mounted)
}

// hang stops a process, and waits until every thread of it has: one of them
// takes the signal, and the others may answer until it had its turn.
func hang(t *testing.T, pid int) {
	t.Helper()
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	runs := func(stat string) bool {
		text, err := os.ReadFile(stat)
		state := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		return err == nil && len(state) > 0 && state[0] != "T"
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task/*/stat"))
		must(t, err)
		if len(threads) > 0 && !slices.ContainsFunc(threads, runs) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %d does not stop", pid)
		}
	}
}

func TestAHungDaemonDoesNotHangUs(t *testing.T) {
	v := made(t)
	must(t, v.Mount(t.Context(), password))
	hang(t, v.daemon().ID().PID)
	wantState(t, v, Dead)
	must(t, v.Unmount(t.Context()))
	must(t, v.Mount(t.Context(), password))
	wantState(t, v, Mounted)
}

func TestTheNextCoreAdoptsTheVolume(t *testing.T) {
	v := made(t)
	must(t, v.Mount(t.Context(), password))
	next := New(v.o)
	if next.Died() != nil {
		t.Fatal("a volume that nobody opened has a daemon")
	}
	must(t, next.Adopt())
	select {
	case <-next.Died():
		t.Fatal("died")
	default:
	}
	must(t, syscall.Kill(v.daemon().ID().PID, syscall.SIGKILL))
	<-next.Died()
	wantState(t, next, Dead)
	if err := next.Adopt(); err == nil {
		t.Fatal("adopted a dead daemon")
	}
	must(t, next.Unmount(t.Context()))
}

// A core killed before it could note the daemon's pid left a mount whose
// daemon nobody knows.
func TestAMountWithoutAKnownDaemonIsReplaced(t *testing.T) {
	v := made(t)
	must(t, v.Mount(t.Context(), password))
	must(t, os.Remove(filepath.Join(v.o.RunDir, "gocryptfs.pid")))
	next := New(v.o)
	if err := next.Adopt(); !errors.Is(err, process.ErrNotRunning) {
		t.Fatal(err)
	}
	must(t, next.Unmount(t.Context()))
	<-v.Died()
	must(t, next.Mount(t.Context(), password))
	must(t, next.Unmount(t.Context()))
}

func TestMissingToolSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	o := options(t)
	o.Binary = ""
	if err := New(o).Init(t.Context(), password); !errors.Is(err, ErrTool) || !strings.Contains(err.Error(), "make build") {
		t.Fatal(err)
	}
}

func TestAMountPointInUseSaysWhatToDo(t *testing.T) {
	v := made(t)
	must(t, os.MkdirAll(filepath.Join(v.o.Mount, "plain"), 0o755))
	if err := v.Mount(t.Context(), password); err == nil || !strings.Contains(err.Error(), "move away") {
		t.Fatal(err)
	}
}

// Neither the password nor what is written leaves a trace on the disk, in the
// daemon's arguments, or in its log.
func TestNothingPlainIsOutsideTheVolume(t *testing.T) {
	v := made(t)
	must(t, v.Mount(t.Context(), password))
	must(t, os.WriteFile(filepath.Join(v.o.Mount, "plain-name"), []byte("plain-content"), 0o600))
	args, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(v.daemon().ID().PID), "cmdline"))
	must(t, err)
	must(t, v.Unmount(t.Context()))
	secrets := [][]byte{password, []byte(strings.Repeat("a5", 32)), []byte("plain-name"), []byte("plain-content")}
	holds := func(where string, content []byte) {
		for _, s := range secrets {
			if bytes.Contains(content, s) {
				t.Errorf("%s holds %q", where, s)
			}
		}
	}
	holds("the command line", args)
	must(t, filepath.WalkDir(filepath.Dir(v.o.Cipher), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		holds(path, append(content, d.Name()...))
		return err
	}))
}

func TestTopmostReadsTheMountTable(t *testing.T) {
	const table = `22 1 8:1 / / rw - ext4 /dev/sda1 rw
40 22 0:40 / /mnt/open\040here rw,nodev shared:3 master:1 - fuse.gocryptfs /etc/a\134b rw
41 40 0:41 / /mnt/open\040here rw - tmpfs tmpfs rw
broken line
`
	for point, want := range map[string]entry{
		"/": {"ext4", "/dev/sda1"}, "/mnt/open here": {"tmpfs", "tmpfs"}, "/mnt": {},
	} {
		if got, ok := topmost(strings.NewReader(table), point); got != want || ok != (want != entry{}) {
			t.Errorf("%s: %v", point, got)
		}
	}
	lines := strings.SplitAfter(table, "\n")
	if got, _ := topmost(strings.NewReader(lines[1]), "/mnt/open here"); got.source != `/etc/a\b` {
		t.Errorf("source %q", got.source)
	}
}
