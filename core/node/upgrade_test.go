package node

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/jobs"
	"github.com/g8os/g8os/core/local"
	"github.com/g8os/g8os/core/upgrade"
	"github.com/g8os/g8os/core/upgrade/trial"
)

// chargeFile is where a guard of these tests, which is this test once more, puts
// down what it was told.
const chargeFile = "charge"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == upgrade.GuardCommand {
		var c upgrade.Charge
		if err := json.Unmarshal([]byte(os.Args[2]), &c); err == nil {
			_ = os.WriteFile(filepath.Join(c.Store.RunDir, chargeFile), []byte(os.Args[2]), 0o600)
		}
		return
	}
	os.Exit(m.Run())
}

// upgraded is a node that can be upgraded, and a release whose file it has.
type upgraded struct {
	*Node
	t       *testing.T
	key     ed25519.PrivateKey
	release api.Release
}

func newUpgraded(t *testing.T) *upgraded {
	dir := t.TempDir()
	public, private, err := ed25519.GenerateKey(nil)
	der, err2 := x509.MarshalPKIXPublicKey(public)
	key := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	text := "#!/bin/sh\n"
	sum := sha256.Sum256([]byte(text))
	s := upgrade.Store{Dir: filepath.Join(dir, "core"), RunDir: filepath.Join(dir, "run")}
	r, err3 := api.Release{
		Version: "2.0", Arch: runtime.GOARCH, Built: time.Now().Add(time.Hour), Sum: hex.EncodeToString(sum[:]), Size: int64(len(text)),
	}.Sign(private)
	if err := errors.Join(err, err2, err3, os.Mkdir(s.Dir, 0o755), os.Mkdir(s.RunDir, 0o755),
		os.WriteFile(filepath.Join(dir, upgrade.KeysFile), key, 0o600), os.WriteFile(s.Path(r.Sum), []byte(text), 0o755)); err != nil {
		t.Fatal(err)
	}
	n := &Node{opt: Options{Dir: dir, Upgrades: s, Socket: filepath.Join(dir, "socket"), Log: slog.New(slog.DiscardHandler)}, board: local.NewBoard(api.Status{})}
	n.ctx, n.leave = context.WithCancelCause(t.Context())
	return &upgraded{Node: n, t: t, key: private, release: r}
}

func (u *upgraded) record() trial.Record {
	u.t.Helper()
	r, err := u.opt.Upgrades.Read()
	if err != nil {
		u.t.Fatal(err)
	}
	return r
}

func (u *upgraded) try(id string, within time.Duration) {
	u.t.Helper()
	t := trial.Trial{ID: id, Within: within}
	if err := u.opt.Upgrades.Begin(u.release.Sum, trial.Build{Version: u.release.Version}, upgrade.Self(), t); err != nil {
		u.t.Fatal(err)
	}
}

// started is what the start of the binary writes down.
func (u *upgraded) started() {
	u.t.Helper()
	_, err := u.opt.Upgrades.Change(func(r trial.Record) (trial.Record, error) {
		t := *r.Trial
		t.Started, r.Trial = true, &t
		return r, nil
	})
	if err != nil {
		u.t.Fatal(err)
	}
}

// Two ACs that ask at once begin one trial; both are answered when g8os_core has
// started again.
func TestAnUpgradeBeginsOnceAndRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpgraded(t)
		answers := make(chan error)
		for range 2 {
			go func() {
				_, err := u.upgrade(u.ctx, api.UpgradeArgs{ID: "u1", Release: u.release, ProveMS: 60_000})
				answers <- err
			}()
		}
		<-u.ctx.Done()
		for range 2 {
			if err := <-answers; !errors.Is(err, jobs.ErrAgain) {
				u.t.Errorf("answered %v", err)
			}
		}
		if reason(u.ctx) != ErrRestart {
			t.Errorf("it ends with %v", reason(u.ctx))
		}
		r := u.record()
		if r.Trial == nil || r.Trial.ID != "u1" || r.Trial.Within != time.Minute || r.Current != u.release.Sum {
			t.Errorf("written down: %+v", r)
		}
		u.guarded()
	})
}

// guarded waits until the guard has been told what to do.
func (u *upgraded) guarded() {
	u.t.Helper()
	var c upgrade.Charge
	for range 600 {
		text, err := os.ReadFile(filepath.Join(u.opt.Upgrades.RunDir, chargeFile))
		if err == nil && json.Unmarshal(text, &c) == nil {
			break
		}
		synctest.Wait() // and for what is no goroutine
		time.Sleep(time.Millisecond)
	}
	if c.ID != "u1" || c.Core.PID != os.Getpid() || c.Socket != u.opt.Socket {
		u.t.Errorf("the guard was told %+v", c)
	}
}

func TestAnUpgradeIsAnsweredByItsID(t *testing.T) {
	u := newUpgraded(t)
	ask := func(id string) (api.Upgraded, error) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return u.upgrade(ctx, api.UpgradeArgs{ID: id, Release: u.release})
	}
	u.try("u1", time.Minute)
	if _, err := ask("u1"); !errors.Is(err, context.Canceled) {
		t.Errorf("on trial: %v", err)
	}
	if _, err := ask("u2"); err == nil || !strings.Contains(err.Error(), "u1 is under way") {
		t.Errorf("another meanwhile: %v", err)
	}
	if err := u.opt.Upgrades.Prove("u1"); err != nil {
		t.Fatal(err)
	}
	if got, err := ask("u1"); err != nil || got.Version != "2.0" {
		t.Errorf("proved: %+v, %v", got, err)
	}
	u.try("u3", time.Minute)
	if err := u.opt.Upgrades.RollBack("u3", "it hung"); err != nil {
		t.Fatal(err)
	}
	if _, err := ask("u3"); code(err) != api.CodeRolledBack || !strings.Contains(err.Error(), "it hung") {
		t.Errorf("taken back: %v", err)
	}
	for _, id := range []string{"", "a\nb", strings.Repeat("x", 129)} {
		if _, err := ask(id); err == nil {
			t.Errorf("taken: an upgrade %q", id)
		}
	}
}

func code(err error) int {
	if f, ok := errors.AsType[failed](err); ok {
		return f.code
	}
	return -1
}

func TestWhatANodeRefusesChangesNothing(t *testing.T) {
	u := newUpgraded(t)
	unsigned, older := u.release, u.release
	unsigned.Version = "2.1"
	older.Built = upgrade.Self().Built.Add(-time.Hour)
	older, err := older.Sign(u.key)
	if err != nil {
		t.Fatal(err)
	}
	for what, a := range map[string]api.UpgradeArgs{
		"unsigned":      {Release: unsigned},
		"older":         {Release: older},
		"no time":       {Release: u.release, ProveMS: 1},
		"far too much":  {Release: u.release, ProveMS: (24 * time.Hour).Milliseconds()},
		"nothing given": {},
	} {
		a.ID = "u1"
		if _, err := u.upgrade(t.Context(), a); code(err) != api.CodeRefused {
			t.Errorf("%s: %v", what, err)
		}
	}
	if r := u.record(); r.Trial != nil || r.Last != nil || u.ctx.Err() != nil {
		t.Errorf("written down: %+v", r)
	}
}

// A new binary looks at itself: managed, and steadily so, or back to the one
// before.
func TestWatchTrial(t *testing.T) {
	show := func(u *upgraded, managed bool) {
		s := api.Status{Phase: string(boot.PhaseSecure), WaitsFor: "a certificate"}
		if managed {
			s = api.Status{Phase: string(boot.PhaseManaged)}
		}
		u.board.Show(s)
	}
	for what, c := range map[string]struct {
		live   func(*upgraded)
		proved bool
	}{
		"managed at last":  {func(u *upgraded) { time.Sleep(50 * time.Second); show(u, true) }, true},
		"managed too late": {func(u *upgraded) { time.Sleep(61 * time.Second); show(u, true) }, false},
		"never managed":    {func(*upgraded) {}, false},
		"for a moment only": {func(u *upgraded) {
			show(u, true)
			time.Sleep(trial.Steady - time.Second)
			show(u, false)
		}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			u := newUpgraded(t)
			u.try("u1", time.Minute)
			u.started()
			show(u, false)
			var lives sync.WaitGroup
			lives.Go(func() { c.live(u) })
			u.watchTrial()
			lives.Wait()
			r := u.record()
			if r.Trial != nil || r.Last == nil || r.Last.Proved != c.proved || (reason(u.ctx) == ErrRestart) == c.proved {
				t.Errorf("%s: %+v, ends with %v", what, r.Last, reason(u.ctx))
			}
			if !c.proved && !strings.Contains(r.Last.Why, "it waited for a certificate") {
				t.Errorf("%s: %q", what, r.Last.Why)
			}
		})
	}
}
