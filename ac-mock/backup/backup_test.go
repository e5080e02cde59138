package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/ac-mock/store/memory"
)

func sealer(t *testing.T, b byte) *seal.Sealer {
	t.Helper()
	s, err := seal.New(bytes.Repeat([]byte{b}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func full(t *testing.T, n int) store.Store {
	t.Helper()
	s := memory.New(memory.Options{}).Client()
	for i := range n {
		op := store.Put(fmt.Sprintf("node/%05d", i), bytes.Repeat([]byte{byte(i)}, 900))
		if _, err := s.Txn(t.Context(), store.Txn{Then: []store.Op{op}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put("ac/alive/ac1", []byte("x"))}}); err != nil {
		t.Fatal(err)
	}
	return s
}

func volatile(key string) bool { return strings.HasPrefix(key, "ac/") }

func made(t *testing.T, s store.Store, seal Sealer) []byte {
	t.Helper()
	var file bytes.Buffer
	if _, err := Write(t.Context(), &file, s, seal, Header{Grid: "g", Made: time.Unix(0, 0)}, volatile); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func dump(t *testing.T, s store.Store) (text string) {
	t.Helper()
	if _, err := store.Each(t.Context(), s, "", func(kv store.KV) error {
		text += fmt.Sprintf("%s=%x\n", kv.Key, kv.Value)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRestoredIsTheSame(t *testing.T) {
	from, to := full(t, 600), memory.New(memory.Options{}).Client()
	file := made(t, from, sealer(t, 1))
	if bytes.Contains(file, []byte("node/0")) {
		t.Error("a name of the store can be read in the file")
	}
	h, keys, err := Restore(t.Context(), bytes.NewReader(file), to, sealer(t, 1), "g")
	if err != nil || keys != 600 || h.Grid != "g" {
		t.Fatalf("%d keys, %+v, %v", keys, h, err)
	}
	if _, err := from.Txn(t.Context(), store.Txn{Then: []store.Op{store.Delete("ac/alive/ac1")}}); err != nil {
		t.Fatal(err)
	}
	if dump(t, from) != dump(t, to) {
		t.Error("what was restored differs")
	}
}

// Whatever is wrong with a backup, or with where it is to go, nothing is written.
func TestRefused(t *testing.T) {
	good := made(t, full(t, 400), sealer(t, 1))
	other := made(t, full(t, 400), sealer(t, 1))
	changed := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	end := bytes.IndexByte(good[len(magic)+2:], '\n') + len(magic) + 3 // of the header
	for name, c := range map[string]struct {
		file []byte
		key  byte
		grid string
		want error
	}{
		"empty":               {nil, 1, "g", ErrDamaged},
		"not a backup":        {[]byte("hello\n"), 1, "g", ErrDamaged},
		"cut in a page":       {good[:len(good)-1], 1, "g", ErrDamaged},
		"cut after a page":    {good[:end+4+int(good[end+1])<<16+int(good[end+2])<<8+int(good[end+3])], 1, "g", ErrDamaged},
		"changed header":      {changed(len(magic) + 6), 1, "g", ErrDamaged},
		"changed page":        {changed(len(good) / 2), 1, "g", ErrDamaged},
		"of two":              {append(bytes.Clone(good[:end]), other[end:]...), 1, "g", ErrDamaged},
		"another master key":  {good, 2, "g", seal.ErrKey},
		"another grid":        {good, 1, "h", ErrVersion},
		"of a later version":  {bytes.Replace(good, []byte(magic+"1"), []byte(magic+"2"), 1), 1, "g", ErrVersion},
		"a page in its stead": {append(bytes.Clone(good[:end]), good[end+4:]...), 1, "g", ErrDamaged},
	} {
		to := memory.New(memory.Options{}).Client()
		if _, _, err := Restore(t.Context(), bytes.NewReader(c.file), to, sealer(t, c.key), c.grid); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if left := dump(t, to); left != "" {
			t.Errorf("%s: it is refused, and the store has %s", name, left)
		}
	}
	if _, _, err := Restore(t.Context(), bytes.NewReader(good), full(t, 1), sealer(t, 1), "g"); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("a store that is not empty: %v", err)
	}
}

// breaking is a store that fails after so many writes.
type breaking struct {
	store.Store
	left int
}

func (b *breaking) Txn(ctx context.Context, t store.Txn) (int64, error) {
	if b.left--; b.left < 0 {
		return 0, store.ErrUnavailable
	}
	return b.Store.Txn(ctx, t)
}

// A restore that is broken off leaves a store that says so.
func TestBrokenOff(t *testing.T) {
	file, to := made(t, full(t, 400), sealer(t, 1)), memory.New(memory.Options{}).Client()
	if err := Whole(t.Context(), to); err != nil {
		t.Errorf("an empty store: %v", err)
	}
	if _, _, err := Restore(t.Context(), bytes.NewReader(file), &breaking{to, 3}, sealer(t, 1), "g"); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	if err := Whole(t.Context(), to); !errors.Is(err, ErrPartial) {
		t.Errorf("a store that is filled in part: %v", err)
	}
}
