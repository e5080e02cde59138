package ssh

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/internal/testenv"
	"github.com/g8os/g8os/core/unlock/volume"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// options puts the files where sshd trusts the path: /mnt is root's alone.
func options(t *testing.T) Options {
	dir, err := os.MkdirTemp("/mnt", "etc")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return Options{Dir: filepath.Join(dir, "ssh"), RunDir: filepath.Join(dir, "run"), Log: slog.New(slog.DiscardHandler)}
}

// running starts a server, and stops it with its sshd at the end.
func running(t *testing.T, o Options) *Server {
	t.Helper()
	s := New(o)
	stop := run(t, s)
	t.Cleanup(func() { _ = s.Stop(context.Background()); stop() })
	must(t, s.WaitReady(limit(t)))
	return s
}

func run(t *testing.T, s *Server) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = s.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// key makes a client key: its file, and its line.
func key(t *testing.T) (path, line string) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	must(t, err)
	path = filepath.Join(t.TempDir(), "id")
	must(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	shown, err := ssh.NewPublicKey(public)
	must(t, err)
	return path, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(shown)))
}

// login runs a command over a real ssh client that knows the host's key.
func login(t *testing.T, o Options, identity string, args ...string) (string, error) {
	t.Helper()
	public, err := os.ReadFile(o.path(hostKey) + ".pub")
	must(t, err)
	known := filepath.Join(t.TempDir(), "known")
	must(t, os.WriteFile(known, append([]byte("127.0.0.1 "), public...), 0o600))
	out, err := exec.Command("ssh", append([]string{"-F", "none", "-i", identity, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "ConnectTimeout=60", "-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + known, "root@127.0.0.1"}, args...)...).CombinedOutput()
	return string(out), err
}

func TestLoginWithAKeyOfTheACAndNoOther(t *testing.T) {
	o := options(t)
	s := running(t, o)
	mine, line := key(t)
	if out, err := login(t, o, mine, "true"); err == nil || !strings.Contains(out, "Permission denied (publickey)") {
		t.Fatalf("before the key is there: %v: %s", err, out)
	}
	if changed, err := SetAuthorizedKeys(o.Dir, []string{line}); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if out, err := login(t, o, mine, "echo", "in"); err != nil || !strings.HasSuffix(out, "in\n") {
		t.Fatalf("%v: %s", err, out)
	}
	if changed, err := SetAuthorizedKeys(o.Dir, nil); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if out, err := login(t, o, mine, "true"); err == nil {
		t.Fatalf("after the key was taken away: %s", out)
	}
	if err := s.Failure(); err != nil {
		t.Fatal(err)
	}
}

// sshd trusts no path that somebody else may write to: the volume must look
// so, seen through FUSE.
func TestLoginWithEverythingOnThePrivateVolume(t *testing.T) {
	o := options(t)
	base := filepath.Dir(o.Dir)
	v := volume.New(volume.Options{Cipher: filepath.Join(base, "private"), Mount: filepath.Join(base, "open"), RunDir: o.RunDir,
		Binary: testenv.Gocryptfs(t), Log: o.Log})
	must(t, v.Init(t.Context(), api.Secret("password")))
	must(t, v.Mount(t.Context(), api.Secret("password")))
	t.Cleanup(func() { _ = v.Unmount(context.Background()) })
	o.Dir = filepath.Join(base, "open", "ssh")
	running(t, o)
	mine, line := key(t)
	_, err := SetAuthorizedKeys(o.Dir, []string{line})
	must(t, err)
	if out, err := login(t, o, mine, "true"); err != nil {
		t.Fatal(out)
	}
}

func TestAKilledSshdComesBack(t *testing.T) {
	o := options(t)
	s := running(t, o)
	s.mu.Lock()
	first, changed := s.sshd, s.changed
	s.mu.Unlock()
	must(t, syscall.Kill(first.ID().PID, syscall.SIGKILL))
	<-changed // Run has seen it
	must(t, s.WaitReady(limit(t)))
	mine, line := key(t)
	_, err := SetAuthorizedKeys(o.Dir, []string{line})
	must(t, err)
	if out, err := login(t, o, mine, "true"); err != nil {
		t.Fatal(out)
	}
}

// What is changed is offered after a restart, at once.
func TestRestart(t *testing.T) {
	s := running(t, options(t))
	first := s.sshd.ID()
	must(t, s.Restart())
	st, err := s.Supervisor().Settled(limit(t), Name)
	must(t, err)
	if st.State != "ready" || st.PID == first.PID || first.Alive() {
		t.Errorf("it is %+v, and was process %d", st, first.PID)
	}
}

func TestTheNextCoreAdoptsSshd(t *testing.T) {
	o := options(t)
	first := New(o)
	stop := run(t, first)
	must(t, first.WaitReady(limit(t)))
	stop() // the core is gone, sshd stays
	second := running(t, o)
	if second.sshd.ID() != first.sshd.ID() {
		t.Fatal("another sshd was started")
	}
	must(t, second.Stop(t.Context()))
	if first.sshd.ID().Alive() {
		t.Fatal("sshd runs after Stop")
	}
}

func TestATakenPortIsSaidClearly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:22", "[::]:22"} {
		l, err := net.Listen(map[bool]string{true: "tcp6", false: "tcp4"}[address[0] == '['], address)
		must(t, err)
		s := New(options(t))
		stop := run(t, s)
		for ctx := limit(t); s.Failure() == nil && ctx.Err() == nil; {
			time.Sleep(5 * time.Millisecond)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // who waits no longer is told why
		if err := s.WaitReady(ctx); !errors.Is(err, ErrPort) || !strings.Contains(err.Error(), "ss -ltnp") {
			t.Errorf("%s: %v", address, err)
		}
		must(t, l.Close())
		must(t, s.WaitReady(limit(t))) // and it comes up once the port is free
		must(t, s.Stop(t.Context()))
		stop()
	}
}

func TestDamagedFilesAreMovedAsideAndMadeAnew(t *testing.T) {
	o := options(t)
	must(t, os.MkdirAll(o.Dir, 0o700))
	for _, name := range []string{configFile, hostKey} {
		must(t, os.WriteFile(o.path(name), []byte("Nonsense yes\n"), 0o644))
	}
	running(t, o)
	for _, name := range []string{configFile, hostKey} {
		if b, err := os.ReadFile(o.path(name) + ".broken"); err != nil || string(b) != "Nonsense yes\n" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func TestAnOperatorsConfigurationIsKept(t *testing.T) {
	o := options(t)
	must(t, os.MkdirAll(o.Dir, 0o700))
	mine := strings.Replace(defaults(o, false), "Port 0", "Port 2222", 1)
	must(t, os.WriteFile(o.path(configFile), []byte(mine), 0o600))
	running(t, o)
	if b, _ := os.ReadFile(o.path(configFile)); string(b) != mine {
		t.Fatalf("changed to %s", b)
	}
	must(t, greets(t.Context(), "127.0.0.1:2222"))
}

func TestMissingSshd(t *testing.T) {
	o := options(t)
	o.Sshd = "/nowhere/sshd"
	s := New(o)
	stop := run(t, s)
	defer stop()
	for ctx := limit(t); s.Failure() == nil && ctx.Err() == nil; {
		time.Sleep(5 * time.Millisecond)
	}
	if err := s.Failure(); !errors.Is(err, ErrTool) {
		t.Fatal(err)
	}
}

func TestOneBadKeyChangesNothing(t *testing.T) {
	dir := t.TempDir()
	_, good := key(t)
	if changed, err := SetAuthorizedKeys(dir, []string{good}); err != nil || !changed {
		t.Fatal(err)
	}
	if changed, err := SetAuthorizedKeys(dir, []string{good}); err != nil || changed {
		t.Fatal("written again", err)
	}
	before, _ := os.ReadFile(filepath.Join(dir, keysFile))
	for _, bad := range []string{"", "garbage", "# comment", good + "\n" + good, "ssh-ed25519 AAAA"} {
		if changed, err := SetAuthorizedKeys(dir, []string{good, bad}); err == nil || changed {
			t.Errorf("%q was taken", bad)
		}
	}
	if after, _ := os.ReadFile(filepath.Join(dir, keysFile)); string(after) != string(before) {
		t.Error("changed")
	}
}
