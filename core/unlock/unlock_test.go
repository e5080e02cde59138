package unlock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/internal/testenv"
	"github.com/g8os/g8os/core/unlock/keyslot"
)

// When this is set, the test binary is a node that kills itself after a step:
// "STEP DIR GOCRYPTFS".
const victim = "UNLOCK_TEST_VICTIM"

func TestMain(m *testing.M) {
	if spec := os.Getenv(victim); spec != "" {
		f := strings.Fields(spec)
		dieAfter(step(f[0]), f[1], f[2])
	}
	testenv.Main(m)
}

func dieAfter(s step, dir, gocryptfs string) {
	o := options(dir, gocryptfs)
	o.After = func(done string) error {
		if done == string(s) {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	}
	v, err := Open(o)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_, err = v.Run(context.Background(), newAC(), claim)
	fmt.Println("was not killed:", err)
	os.Exit(1)
}

var claim = api.Claim{MACs: []string{"02:00:00:00:00:01"}, Hostname: "n1"}

func options(dir, gocryptfs string) Options {
	return Options{Dir: filepath.Join(dir, "g8os"), Mount: filepath.Join(dir, "mnt"), RunDir: filepath.Join(dir, "run"),
		Gocryptfs: gocryptfs, Log: slog.New(slog.DiscardHandler)}
}

func vault(t *testing.T, dir string) *Vault {
	t.Helper()
	v, err := Open(options(dir, testenv.Gocryptfs(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close(context.Background()) })
	return v
}

func run1(t *testing.T, v *Vault, a *ac) Result {
	t.Helper()
	r, err := v.Run(t.Context(), a, claim)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// booted returns a node that was up once, with a note in its volume, and is
// down again.
func booted(t *testing.T) (dir string) {
	dir = t.TempDir()
	v := vault(t, dir)
	run1(t, v, newAC())
	must(t, os.WriteFile(filepath.Join(v.o.Mount, "note"), []byte("kept"), 0o600))
	must(t, v.Close(t.Context()))
	return dir
}

func wantNote(t *testing.T, dir string) {
	t.Helper()
	if b, err := os.ReadFile(filepath.Join(dir, "mnt", "note")); err != nil || string(b) != "kept" {
		t.Fatalf("%q, %v", b, err)
	}
}

func TestFirstBootAndLaterBoots(t *testing.T) {
	dir, a := t.TempDir(), newAC()
	first := vault(t, dir)
	if _, open := first.AlreadyOpen(); open {
		t.Fatal("open before the first boot")
	}
	want := Result{NodeID: "020000000001", Grid: "lab", Generation: 1, FirstBoot: true}
	if got := run1(t, first, a); got != want {
		t.Fatalf("%+v", got)
	}
	must(t, first.Close(t.Context()))
	<-first.Died()
	want.FirstBoot = false
	second := vault(t, dir)
	if got := run1(t, second, a); got != want {
		t.Fatalf("%+v", got)
	}
	third := vault(t, dir) // the core was restarted, the volume is open
	if got, open := third.AlreadyOpen(); !open || got != want {
		t.Fatalf("%+v, %v", got, open)
	}
	if fmt.Sprint(a.counters, a.confirmed) != "[1 2] [1 1]" {
		t.Errorf("counters %v, confirmed %v", a.counters, a.confirmed)
	}
}

func TestProveAsksTheACThoughTheVolumeIsOpen(t *testing.T) {
	a, v := newAC(), vault(t, t.TempDir())
	run1(t, v, a)
	must(t, v.Prove(t.Context(), a, claim))
	if fmt.Sprint(a.counters) != "[1 2]" {
		t.Errorf("counters %v: the proof did not reach the AC", a.counters)
	}
	if _, open := v.AlreadyOpen(); !open {
		t.Error("the volume is not open any more")
	}
}

func TestKilledAfterAnyStepTheNodeBoots(t *testing.T) {
	gocryptfs := testenv.Gocryptfs(t)
	for _, boot := range []struct {
		name  string
		steps []step
	}{
		{"first", []step{stepAsk, stepSlots, stepInit, stepMount, stepConfirm}},
		{"later", []step{stepAsk, stepOpen, stepMount, stepConfirm}},
	} {
		for _, s := range boot.steps {
			for _, powerCut := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s boot, %s, power cut %v", boot.name, s, powerCut), func(t *testing.T) {
					dir := t.TempDir()
					if boot.name == "later" {
						dir = booted(t)
					}
					node := exec.Command("/proc/self/exe")
					node.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", victim, s, dir, gocryptfs))
					if out, err := node.CombinedOutput(); len(out) > 0 || err == nil || err.Error() != "signal: killed" {
						t.Fatalf("%v: %s", err, out)
					}
					v := vault(t, dir)
					if powerCut {
						must(t, v.Close(t.Context()))
					}
					if got := run1(t, v, newAC()); got.Generation != 1 {
						t.Fatalf("%+v", got)
					}
					if boot.name == "later" {
						wantNote(t, dir)
					}
					if _, err := v.slots.OpenRecovery(material("recovery")); err != nil {
						t.Error(err)
					}
					if _, open := vault(t, dir).AlreadyOpen(); !open {
						t.Error("not open")
					}
				})
			}
		}
	}
}

func TestRefusalsAndBrokenExchangesChangeNothing(t *testing.T) {
	broken := errors.New("connection reset")
	for _, path := range []string{api.PathChallenge, api.PathUnlock, api.PathConfirm} {
		for _, cause := range []error{api.ErrRefused, broken} {
			dir, a := t.TempDir(), newAC()
			a.refuse[path] = cause
			v := vault(t, dir)
			if _, err := v.Run(t.Context(), a, claim); !errors.Is(err, cause) {
				t.Errorf("%s: %v", path, err)
			}
			if _, open := v.AlreadyOpen(); open {
				t.Errorf("%s: open", path)
			}
			delete(a.refuse, path)
			run1(t, v, a)
		}
	}
}

func TestAnswersThatCannotBeUsed(t *testing.T) {
	other := newAC()
	other.node = "020000000009"
	wrong := newAC()
	wrong.share = func(uint32) api.Secret { return material("wrong") }
	for name, c := range map[string]struct {
		a    *ac
		want error
	}{"another node": {other, ErrAnswer}, "another share": {wrong, ErrOperator}} {
		dir := booted(t)
		v := vault(t, dir)
		if _, err := v.Run(t.Context(), c.a, claim); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		run1(t, v, newAC())
		wantNote(t, dir)
	}
	short := newAC()
	short.share = func(uint32) api.Secret { return api.Secret("short") }
	if _, err := vault(t, t.TempDir()).Run(t.Context(), short, claim); !errors.Is(err, ErrAnswer) {
		t.Errorf("short share: %v", err)
	}
}

func TestTheNewestGenerationThatOpensIsUsed(t *testing.T) {
	dir := booted(t)
	v, a := vault(t, dir), newAC()
	password, err := v.slots.OpenUnlock(1, a.share(1))
	must(t, err)
	must(t, v.slots.AddUnlock(2, a.share(2), password))
	must(t, v.slots.Save(durable.OS, dir+"/g8os"))
	if got := run1(t, v, a); got.Generation != 2 || a.confirmed[0] != 2 {
		t.Fatalf("%+v, confirmed %v", got, a.confirmed)
	}
	must(t, v.Close(t.Context()))
	lost := newAC()
	lost.share = func(g uint32) api.Secret { return material(fmt.Sprint("share ", min(g, 1))) }
	if got := run1(t, vault(t, dir), lost); got.Generation != 1 || lost.confirmed[0] != 1 {
		t.Fatalf("%+v, confirmed %v", got, lost.confirmed)
	}
}

func TestRecoveryKeyOpensWithoutAnAC(t *testing.T) {
	dir := booted(t)
	v := vault(t, dir)
	if _, err := v.RunRecovery(t.Context(), material("wrong")); !errors.Is(err, keyslot.ErrKey) {
		t.Fatal(err)
	}
	if got, err := v.RunRecovery(t.Context(), material("recovery")); err != nil || got.NodeID != "020000000001" {
		t.Fatalf("%+v, %v", got, err)
	}
	wantNote(t, dir)
	if _, err := vault(t, t.TempDir()).RunRecovery(t.Context(), material("recovery")); !errors.Is(err, ErrOperator) {
		t.Fatal(err)
	}
}

func TestDamageIsMendedOrLeftToTheOperator(t *testing.T) {
	slots := func(dir, suffix string) string { return filepath.Join(dir, "g8os", keyslot.Name+suffix) }
	dir := booted(t)
	must(t, os.Truncate(slots(dir, ""), 10))
	run1(t, vault(t, dir), newAC())
	wantNote(t, dir)
	if _, damage, err := keyslot.Load(durable.OS, dir+"/g8os"); damage != nil || err != nil {
		t.Errorf("not mended: %v, %v", damage, err)
	}
	for name, do := range map[string]func(dir string) error{
		"both copies damaged": func(dir string) error {
			return errors.Join(os.Truncate(slots(dir, ""), 10), os.Truncate(slots(dir, ".prev"), 10))
		},
		"slots gone":          func(dir string) error { return errors.Join(os.Remove(slots(dir, "")), os.Remove(slots(dir, ".prev"))) },
		"description gone":    func(dir string) error { return os.Remove(dir + "/g8os/private/gocryptfs.conf") },
		"description damaged": func(dir string) error { return os.Truncate(dir+"/g8os/private/gocryptfs.conf", 9) },
		"device key damaged":  func(dir string) error { return os.Truncate(dir+"/g8os/device.key", 9) },
	} {
		dir := booted(t)
		must(t, do(dir))
		v, err := Open(options(dir, testenv.Gocryptfs(t)))
		if err == nil {
			_, err = v.Run(t.Context(), newAC(), claim)
		}
		if !errors.Is(err, ErrOperator) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(dir + "/g8os/private/gocryptfs.diriv"); err != nil {
			t.Errorf("%s: ciphertext was touched: %v", name, err)
		}
	}
}

// The disk alone opens nothing, and holds nothing that does.
func TestNothingOnTheDiskOpensTheVolume(t *testing.T) {
	dir := booted(t)
	v := vault(t, dir)
	password, err := v.slots.OpenUnlock(1, material("share 1"))
	must(t, err)
	for _, s := range v.slots.Generations() {
		if _, err := v.slots.OpenUnlock(s, make(api.Secret, keyslot.ShareSize)); !errors.Is(err, keyslot.ErrKey) {
			t.Error(err)
		}
	}
	secrets := map[string]api.Secret{"password": password, "AC share": material("share 1"), "recovery key": material("recovery")}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		for name, s := range secrets {
			inJSON, _ := s.MarshalJSON()
			for _, form := range [][]byte{s, fmt.Appendf(nil, "%x", []byte(s)), inJSON[1:40]} {
				if bytes.Contains(content, form) {
					t.Errorf("%s holds the %s", path, name)
				}
			}
		}
		return err
	}))
}
