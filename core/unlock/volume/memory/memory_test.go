package memory_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	disks "github.com/g8os/g8os/core/durable/memory"
	"github.com/g8os/g8os/core/internal/testenv"
	"github.com/g8os/g8os/core/unlock"
	"github.com/g8os/g8os/core/unlock/volume"
	"github.com/g8os/g8os/core/unlock/volume/memory"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var password = api.Secret(bytes.Repeat([]byte{0xA5}, 32))

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// machine is a disk with a volume on it. processes is the disk as they see it.
type machine struct {
	unlock.Volume
	disk, processes durable.Disk
	dir             string
}

func (m machine) path(name string) string { return filepath.Join(m.dir, name) }

// onEach runs a test with gocryptfs, and with its twin.
func onEach(t *testing.T, test func(t *testing.T, m machine)) {
	t.Run("gocryptfs", func(t *testing.T) {
		dir := t.TempDir()
		v := volume.New(volume.Options{
			Cipher: filepath.Join(dir, "private"), Mount: filepath.Join(dir, "mnt"), RunDir: filepath.Join(dir, "run"),
			Binary: testenv.Gocryptfs(t), Log: slog.New(slog.DiscardHandler),
		})
		t.Cleanup(func() { _ = v.Unmount(context.Background()) })
		test(t, machine{v, durable.OS, durable.OS, dir})
	})
	t.Run("memory", func(t *testing.T) {
		disk := disks.New(func(int) int { return 0 })
		must(t, disk.MkdirAll("/dir", 0o755))
		disk.SyncAll()
		v := memory.New(disk, "/dir/private", "/dir/mnt")
		test(t, machine{v, disk, v.Disk(), "/dir"})
	})
}

func wantState(t *testing.T, m machine, want volume.State) {
	t.Helper()
	if got, err := m.State(); err != nil || got != want {
		t.Fatalf("state %s, %v, want %s", got, err, want)
	}
}

func TestFromAbsentToMountedAndBack(t *testing.T) {
	onEach(t, func(t *testing.T, m machine) {
		wantState(t, m, volume.Absent)
		if m.Adopt() == nil || m.Died() != nil {
			t.Fatal("there is nothing to adopt yet")
		}
		must(t, m.Init(t.Context(), password))
		wantState(t, m, volume.Made)
		must(t, m.Init(t.Context(), api.Secret("another"))) // changes nothing
		for range 2 {
			must(t, m.Mount(t.Context(), password))
			wantState(t, m, volume.Mounted)
			must(t, m.Adopt())
			must(t, durable.MkdirAll(m.processes, m.path("mnt/ssl"), 0o700))
			must(t, durable.Write(m.processes, m.path("mnt/ssl/note"), []byte("kept"), 0o600))
			must(t, durable.Symlink(m.processes, "ssl/note", m.path("mnt/link")))
			if b, err := m.processes.ReadFile(m.path("mnt/link")); string(b) != "kept" {
				t.Fatalf("%q, %v", b, err)
			}
			must(t, m.Unmount(t.Context()))
			<-m.Died()
			wantState(t, m, volume.Made)
			if entries, err := m.processes.ReadDir(m.path("mnt")); err != nil || len(entries) > 0 {
				t.Fatalf("in a closed volume: %v, %v", entries, err)
			}
		}
		must(t, m.Unmount(t.Context()))
	})
}

func TestWhatDoesNotOpen(t *testing.T) {
	onEach(t, func(t *testing.T, m machine) {
		must(t, m.Init(t.Context(), password))
		if err := m.Mount(t.Context(), api.Secret("wrong")); !errors.Is(err, volume.ErrPassword) {
			t.Error(err)
		}
		wantState(t, m, volume.Made)
		description := m.path("private/gocryptfs.conf")
		must(t, durable.Write(m.disk, description, []byte("{"), 0o400))
		if err := m.Mount(t.Context(), password); !errors.Is(err, volume.ErrDamaged) {
			t.Error(err)
		}
		must(t, m.disk.Remove(description))
		wantState(t, m, volume.Broken)
		for _, err := range []error{m.Broken(), m.Init(t.Context(), password), m.Mount(t.Context(), password)} {
			if !errors.Is(err, volume.ErrDamaged) {
				t.Error(err)
			}
		}
		spare, err := m.disk.ReadFile(m.path("private.conf"))
		must(t, err)
		must(t, durable.Write(m.disk, description, spare, 0o400))
		must(t, m.Mount(t.Context(), password))
	})
}

func TestADeadDaemonIsCleared(t *testing.T) {
	disk := disks.New(func(int) int { return 0 })
	v := memory.New(disk, "/private", "/mnt")
	must(t, v.Init(t.Context(), password))
	must(t, v.Mount(t.Context(), password))
	must(t, durable.Write(v.Disk(), "/mnt/note", []byte("kept"), 0o600))
	v.Kill()
	<-v.Died()
	if state, _ := v.State(); state != volume.Dead || v.Adopt() == nil {
		t.Error(state)
	}
	if _, err := v.Disk().ReadFile("/mnt/note"); !errors.Is(err, syscall.ENOTCONN) {
		t.Error(err)
	}
	must(t, v.Unmount(t.Context()))
	must(t, v.Mount(t.Context(), password))
	if b, err := v.Disk().ReadFile("/mnt/note"); string(b) != "kept" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestWhatIsWrittenToAClosedVolumeIsInTheClear(t *testing.T) {
	disk := disks.New(func(int) int { return 0 })
	v := memory.New(disk, "/private", "/mnt")
	must(t, disk.MkdirAll("/mnt", 0o755))
	must(t, durable.Write(v.Disk(), "/mnt/secret", nil, 0o600))
	if _, err := disk.Stat("/mnt/secret"); err != nil {
		t.Error("a check that looks for it would not find it:", err)
	}
}

func TestATroubleThatIsTold(t *testing.T) {
	v := memory.New(disks.New(func(int) int { return 0 }), "/private", "/mnt")
	v.Trouble = volume.ErrTool
	if err := v.Init(t.Context(), password); !errors.Is(err, volume.ErrTool) {
		t.Error(err)
	}
	v.Trouble = nil
	must(t, v.Init(t.Context(), password))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.Mount(ctx, password); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
