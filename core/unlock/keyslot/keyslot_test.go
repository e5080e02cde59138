package keyslot

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
)

func secret() api.Secret {
	s := make(api.Secret, ShareSize)
	rand.Read(s)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// filled returns a file with generations 1 and 2 and a recovery slot, and the
// keys that open them.
func filled(t testing.TB) (f *File, password, one, two, recovery api.Secret) {
	f, password, one, two, recovery = New("020000000001", "lab"), secret(), secret(), secret(), secret()
	for _, err := range []error{f.AddUnlock(1, one, password), f.AddUnlock(2, two, password), f.AddRecovery(recovery, password)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return f, password, one, two, recovery
}

func TestEachKeyOpensItsOwnSlotOnly(t *testing.T) {
	f, password, one, two, recovery := filled(t)
	for _, c := range []struct {
		name string
		got  func() (api.Secret, error)
		want error
	}{
		{"generation 1", func() (api.Secret, error) { return f.OpenUnlock(1, one) }, nil},
		{"generation 2", func() (api.Secret, error) { return f.OpenUnlock(2, two) }, nil},
		{"recovery", func() (api.Secret, error) { return f.OpenRecovery(recovery) }, nil},
		{"share of another generation", func() (api.Secret, error) { return f.OpenUnlock(1, two) }, ErrKey},
		{"recovery key as a share", func() (api.Secret, error) { return f.OpenUnlock(1, recovery) }, ErrKey},
		{"share as recovery key", func() (api.Secret, error) { return f.OpenRecovery(one) }, ErrKey},
		{"no share", func() (api.Secret, error) { return f.OpenUnlock(1, nil) }, ErrKey},
		{"zero share", func() (api.Secret, error) { return f.OpenUnlock(1, make(api.Secret, ShareSize)) }, ErrKey},
		{"unknown generation", func() (api.Secret, error) { return f.OpenUnlock(3, one) }, ErrSlot},
	} {
		got, err := c.got()
		if !errors.Is(err, c.want) || (c.want == nil) != bytes.Equal(got, password) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestASlotIsGoodForItsNodeKindAndGenerationOnly(t *testing.T) {
	f, _, one, _, _ := filled(t)
	for name, change := range map[string]func(*File){
		"other node":       func(f *File) { f.node = "020000000002" },
		"other generation": func(f *File) { f.slots[1], f.slots[0].Generation = slot{}, 2 },
		"other disk share": func(f *File) { f.slots[0].DiskShare = secret() },
	} {
		g := &File{node: f.node, slots: slices.Clone(f.slots)}
		change(g)
		if _, err := g.OpenUnlock(g.slots[0].Generation, one); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRemoveRefusesTheLastUnlockSlot(t *testing.T) {
	f, _, _, _, _ := filled(t)
	must(t, f.Remove(1))
	if err := f.Remove(1); !errors.Is(err, ErrSlot) {
		t.Errorf("removed twice: %v", err)
	}
	if err := f.Remove(2); !errors.Is(err, ErrLast) || !slices.Equal(f.Generations(), []uint32{2}) {
		t.Errorf("last slot: %v, left %v", err, f.Generations())
	}
}

func TestSaveAndLoad(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := Load(durable.OS, dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("nothing there: %v", err)
	}
	f, password, one, _, _ := filled(t)
	f.SetConfirmed(2)
	must(t, f.Save(durable.OS, dir))
	g, damage, err := Load(durable.OS, dir)
	if err != nil || damage != nil || g.Node() != f.Node() || g.Grid() != "lab" || g.Confirmed() != 2 || !g.HasRecovery() {
		t.Fatalf("%+v, %v, %v", g, damage, err)
	}
	if got, err := g.OpenUnlock(1, one); err != nil || !bytes.Equal(got, password) {
		t.Fatal(err)
	}
}

// Already after the first save one damaged file is mended from its copy.
func TestDamageIsReportedAndMended(t *testing.T) {
	for name, damage := range map[string]func(string) error{
		"truncated": func(p string) error { return os.Truncate(p, 100) },
		"empty":     func(p string) error { return os.Truncate(p, 0) },
		"removed":   os.Remove,
		"bit": func(p string) error {
			b, _ := os.ReadFile(p)
			b[len(b)/2] ^= 1
			return os.WriteFile(p, b, 0o600)
		},
	} {
		for _, file := range []string{Name, Name + durable.Previous} {
			t.Run(name+" "+file, func(t *testing.T) { testMended(t, file, damage) })
		}
	}
}

func testMended(t *testing.T, file string, damage func(string) error) {
	dir := t.TempDir()
	f, password, one, _, _ := filled(t)
	must(t, f.Save(durable.OS, dir))
	must(t, damage(filepath.Join(dir, file)))
	g, what, err := Load(durable.OS, dir)
	if err != nil || what == nil {
		t.Fatalf("damage %v, error %v", what, err)
	}
	if got, err := g.OpenUnlock(1, one); err != nil || !bytes.Equal(got, password) {
		t.Fatal(err)
	}
	must(t, g.Save(durable.OS, dir))
	if _, what, err := Load(durable.OS, dir); what != nil || err != nil {
		t.Fatalf("not mended: %v, %v", what, err)
	}
}

func TestBothCopiesDamagedIsNotAMissingFile(t *testing.T) {
	dir := t.TempDir()
	f, _, _, _, _ := filled(t)
	must(t, f.Save(durable.OS, dir))
	for _, n := range []string{Name, Name + ".prev"} {
		must(t, os.WriteFile(filepath.Join(dir, n), []byte("{}"), 0o600))
	}
	if _, _, err := Load(durable.OS, dir); !errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestNewerVersionIsNotCalledDamaged(t *testing.T) {
	if _, err := Decode([]byte(`{"version":3,"checksum":"","content":{}}`)); !errors.Is(err, ErrVersion) {
		t.Fatal(err)
	}
}

func TestNothingSecretIsInTheFile(t *testing.T) {
	f, password, one, two, recovery := filled(t)
	data, err := f.Encode()
	must(t, err)
	for name, s := range map[string]api.Secret{"password": password, "share 1": one, "share 2": two, "recovery key": recovery} {
		encoded, _ := s.MarshalJSON()
		if bytes.Contains(data, s) || bytes.Contains(data, encoded[1:40]) {
			t.Errorf("the file holds the %s", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	file, _, one, _, recovery := filled(f)
	data, _ := file.Encode()
	f.Add(data)
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Decode(data)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
				t.Fatalf("untyped error: %v", err)
			}
			return
		}
		_, _ = got.OpenUnlock(1, one) // whatever it is, it must not panic
		_, _ = got.OpenRecovery(recovery)
		if again, err := got.Encode(); err != nil {
			t.Fatal(err)
		} else if _, err := Decode(again); err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
	})
}
