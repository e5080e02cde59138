package device

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/g8os/g8os/core/durable"
	chips "github.com/g8os/g8os/core/unlock/tpm/memory"
)

// One damaged copy of what a TPM keeps is no loss, and two are told, as long as
// something depends on the key.
func TestDamagedCopiesOfASealedKey(t *testing.T) {
	dir, chip := t.TempDir(), chips.New(1)
	o := Options{Dir: dir, TPM: chip}
	d, err := Open(o)
	if err != nil || d.Share() == nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, KeyFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("the key lies on the disk")
	}
	path := filepath.Join(dir, SealedFile)
	slots := filepath.Join(dir, "keyslots")
	o.Dependents = []string{slots}
	os.WriteFile(slots, nil, 0o600)
	os.WriteFile(path, []byte("{}"), 0o600)
	again, err := Open(o)
	if err != nil || !again.Public().Equal(d.Public()) {
		t.Fatalf("one copy is damaged: %v", err)
	}
	os.WriteFile(path+durable.Previous, []byte("{}"), 0o600)
	if _, err := Open(o); !errors.Is(err, ErrDamaged) {
		t.Fatalf("both are damaged: %v", err)
	}
	os.Remove(slots)
	fresh, err := Open(o)
	if err != nil || fresh.Public().Equal(d.Public()) {
		t.Fatalf("nothing depends on it: %v", err)
	}
}

// A key that was put back by hand serves to ask, where the TPM is lost and its
// share is in use; what is sealed stays as it was.
func TestAKeyThatWasPutBack(t *testing.T) {
	dir, chip := t.TempDir(), chips.New(2)
	plain, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	backup, _ := os.ReadFile(filepath.Join(dir, KeyFile))
	if _, err := Open(Options{Dir: dir, TPM: chip}); err != nil {
		t.Fatal(err)
	}
	chip.Clear()
	o := Options{Dir: dir, TPM: chip, ShareInUse: true, Dependents: []string{dir}}
	if _, err := Open(o); !errors.Is(err, ErrSealed) {
		t.Fatal(err)
	}
	sealed, _ := os.ReadFile(filepath.Join(dir, SealedFile))
	os.WriteFile(filepath.Join(dir, KeyFile), backup, 0o600)
	d, err := Open(o)
	if err != nil || !d.Public().Equal(plain.Public()) || d.Share() != nil {
		t.Fatal(err)
	}
	if now, _ := os.ReadFile(filepath.Join(dir, SealedFile)); string(now) != string(sealed) {
		t.Error("what was sealed has changed")
	}
}
