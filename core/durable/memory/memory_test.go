package memory_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/durable/memory"
)

var errCut = errors.New("the power is gone")

func seeded(seed uint64) *memory.Disk {
	return memory.New(rand.New(rand.NewPCG(seed, 0)).IntN)
}

// cutAt has the power go before the n-th change or sync from now.
func cutAt(d *memory.Disk, n int) {
	d.Before = func(string, string) error {
		if n--; n < 0 {
			return errCut
		}
		return nil
	}
}

func parse(b []byte) (string, error) {
	if !strings.HasPrefix(string(b), "good") {
		return "", fmt.Errorf("%q is bad", b)
	}
	return string(b), nil
}

func good(b []byte) bool { _, err := parse(b); return err == nil }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// steps are the algorithms of durable, each with what may be read after a power
// cut somewhere within it, and what must be read after its end.
var steps = map[string]struct {
	do   func(d durable.Disk) error
	may  []string
	must string
}{
	"write": {func(d durable.Disk) error { return durable.Write(d, "/f", []byte("good 2"), 0o600) },
		[]string{"good 1", "good 2"}, "good 2"},
	"write all": {func(d durable.Disk) error {
		return durable.WriteAll(d, "/", durable.New{Name: "other", Data: []byte("good 3"), Mode: 0o600}, durable.New{Name: "f", Data: []byte("good 2"), Mode: 0o600})
	}, []string{"good 1", "good 2"}, "good 2"},
	"write keeping": {func(d durable.Disk) error { return durable.WriteKeeping(d, "/f", []byte("good 2"), 0o600, good) },
		[]string{"good 1", "good 2"}, "good 2"},
	"rename": {func(d durable.Disk) error { return durable.Rename(d, "/other", "/f") },
		[]string{"good 1", "good other"}, "good other"},
	"symlink": {func(d durable.Disk) error { return durable.Symlink(d, "other", "/f") },
		[]string{"good 1", "good other"}, "good other"},
	"folder": {func(d durable.Disk) error {
		return errors.Join(durable.MkdirAll(d, "/a/b", 0o700), durable.Write(d, "/a/b/f", []byte("x"), 0o600), durable.Symlink(d, "a/b/f", "/l"))
	}, []string{"good 1"}, "good 1"},
}

// trial runs one step, with the power cut before its n-th operation or, when it
// has fewer, after it. It returns what is wrong, and whether it came to its end.
func trial(name string, seed uint64, n int, through func(durable.Disk) durable.Disk) (problem string, ended bool) {
	step, d := steps[name], seeded(seed)
	for path, content := range map[string]string{"/f": "good 1", "/other": "good other"} {
		if err := durable.Write(d, path, []byte(content), 0o600); err != nil {
			return err.Error(), false
		}
	}
	cutAt(d, n)
	err := step.do(through(d))
	if err != nil && !errors.Is(err, errCut) {
		return err.Error(), false
	}
	d.Before = nil
	d.PowerCut()
	got, _, readErr := durable.Read(d, "/f", parse)
	switch {
	case readErr != nil:
		return fmt.Sprintf("neither old nor new: %v", readErr), err == nil
	case err == nil && got != step.must:
		return "lost: " + got, true
	case !slices.Contains(step.may, got):
		return "mixed: " + got, err == nil
	}
	if _, missing := d.Lstat("/l"); missing == nil || name == "folder" && err == nil {
		if b, err := d.ReadFile("/l"); string(b) != "x" {
			return fmt.Sprintf("the link and what it leads to: %q, %v", b, err), true
		}
	}
	return "", err == nil
}

// search tries every place for a power cut with many choices of what survives.
func search(name string, through func(durable.Disk) durable.Disk) string {
	for seed := range uint64(200) {
		for n, ended := 0, false; !ended; n++ {
			var problem string
			if problem, ended = trial(name, seed, n, through); problem != "" {
				return fmt.Sprintf("seed %d, cut before operation %d: %s", seed, n, problem)
			}
		}
	}
	return ""
}

func TestAPowerCutLeavesTheOldOrTheNew(t *testing.T) {
	for name := range steps {
		if problem := search(name, func(d durable.Disk) durable.Disk { return d }); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

// forgetful is a disk on which somebody forgot a kind of sync.
type forgetful struct {
	durable.Disk
	file, dir, all bool
}

type unsynced struct{ durable.File }

func (unsynced) Sync() error { return nil }

func (f forgetful) Create(path string, mode fs.FileMode) (durable.File, error) {
	file, err := f.Disk.Create(path, mode)
	if err == nil && f.file {
		file = unsynced{file}
	}
	return file, err
}

func (f forgetful) SyncDir(dir string) error {
	if f.dir {
		return nil
	}
	return f.Disk.SyncDir(dir)
}

func (f forgetful) SyncAll() {
	if !f.all {
		f.Disk.SyncAll()
	}
}

func TestASyncThatIsForgottenIsFound(t *testing.T) {
	for _, c := range []struct {
		step string
		f    forgetful
	}{
		{"write", forgetful{file: true}},
		{"write", forgetful{dir: true}},
		{"write keeping", forgetful{dir: true}},
		{"rename", forgetful{dir: true}},
		{"symlink", forgetful{dir: true}},
		{"folder", forgetful{all: true}},
	} {
		if search(c.step, func(d durable.Disk) durable.Disk { c.f.Disk = d; return c.f }) == "" {
			t.Errorf("%s without a sync (%+v): no power cut found it", c.step, c.f)
		}
	}
}

func TestTheSameChoicesLeaveTheSame(t *testing.T) {
	left := func(seed uint64) string {
		d := seeded(seed)
		for i := range 20 {
			f, err := d.Create(fmt.Sprint("/", i), 0o600)
			must(t, err)
			_, err = f.Write([]byte("some content"))
			must(t, err)
		}
		d.PowerCut()
		var all []string
		entries, _ := d.ReadDir("/")
		for _, e := range entries {
			b, _ := d.ReadFile(e.Name())
			all = append(all, fmt.Sprintf("%s=%q", e.Name(), b))
		}
		return strings.Join(all, " ")
	}
	histories := map[string]bool{}
	for seed := range uint64(20) {
		if once, again := left(seed), left(seed); once != again {
			t.Fatalf("seed %d: two histories", seed)
		}
		histories[left(seed)] = true
	}
	if len(histories) < 10 {
		t.Errorf("20 seeds have %d histories only", len(histories))
	}
}

func TestFullReadOnlyAndDamaged(t *testing.T) {
	d := seeded(1)
	must(t, durable.WriteKeeping(d, "/f", []byte("good 1"), 0o600, good))
	d.Full = true
	if err := durable.WriteKeeping(d, "/f", []byte("good 2"), 0o600, good); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	d.Full, d.ReadOnly = false, true
	if err := durable.Write(d, "/f", []byte("good 2"), 0o600); !errors.Is(err, syscall.EROFS) {
		t.Error(err)
	}
	if b, err := d.ReadFile("/f"); string(b) != "good 1" {
		t.Errorf("a refused write changed %q, %v", b, err)
	}
	must(t, d.Damage("/f", func(b []byte) []byte { return b[:2] }))
	got, damage, err := durable.Read(d, "/f", parse)
	if got != "good 1" || damage == nil || err != nil {
		t.Errorf("%q, %v, %v", got, damage, err)
	}
	if err := d.Damage("/none", func(b []byte) []byte { return b }); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestAFileOfThePastIsNotWritten(t *testing.T) {
	d := seeded(1)
	f, err := d.Create("/f", 0o600)
	must(t, err)
	d.PowerCut()
	if _, err := f.Write([]byte("x")); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}

func BenchmarkWriteKeeping(b *testing.B) {
	d := seeded(1)
	for b.Loop() {
		if err := durable.WriteKeeping(d, "/f", []byte("good"), 0o600, good); err != nil {
			b.Fatal(err)
		}
	}
}
