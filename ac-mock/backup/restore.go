package backup

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/g8os/g8os/ac-mock/store"
)

// Restore fills an empty store from a backup. The whole of it is read and
// proved before the first key is written.
func Restore(ctx context.Context, r io.ReadSeeker, s store.Store, seal Sealer, grid string) (h Header, keys int, err error) {
	list, err := s.List(ctx, "", store.ListOptions{Limit: 1, KeysOnly: true})
	if err != nil {
		return h, 0, fmt.Errorf("restore: %w", err)
	}
	if len(list.KVs) > 0 {
		return h, 0, fmt.Errorf("restore: %w: it has %s", ErrNotEmpty, list.KVs[0].Key)
	}
	h, err = read(r, seal, func(p page) error { keys += len(p.Pairs); return nil })
	if err == nil && h.Grid != grid {
		err = fmt.Errorf("%w: it is of grid %s, this AC is of grid %s", ErrVersion, h.Grid, grid)
	}
	if err != nil {
		return h, 0, fmt.Errorf("restore: %w", err)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return h, 0, fmt.Errorf("restore: %w", err)
	}
	if err := fill(ctx, r, s, seal); err != nil {
		return h, 0, fmt.Errorf("restore: %w; the store is filled in part: empty it, and restore again", err)
	}
	return h, keys, nil
}

// fill writes all pages between two marks.
func fill(ctx context.Context, r io.Reader, s store.Store, seal Sealer) error {
	if _, err := s.Txn(ctx, store.Txn{If: []store.Cond{{Key: Unfinished}}, Then: []store.Op{store.Put(Unfinished, []byte("1"))}}); err != nil {
		return err
	}
	if _, err := read(r, seal, func(p page) error { return put(ctx, s, p.Pairs) }); err != nil {
		return err
	}
	_, err := s.Txn(ctx, store.Txn{Then: []store.Op{store.Delete(Unfinished)}})
	return err
}

// put writes pairs, as many at a time as a transaction of the store takes.
func put(ctx context.Context, s store.Store, pairs []pair) error {
	const mostBytes = 512 << 10
	var t store.Txn
	size := 0
	flush := func() error {
		if len(t.Then) == 0 {
			return nil
		}
		_, err := s.Txn(ctx, t)
		t, size = store.Txn{}, 0
		return err
	}
	for _, p := range pairs {
		if size += len(p.Value); len(t.Then) == store.MaxOps || size > mostBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		t.Then = append(t.Then, store.Put(p.Key, p.Value))
	}
	return flush()
}

// Whole says that a store is not one that a restore has filled in part.
func Whole(ctx context.Context, s store.Store) error {
	_, err := s.Get(ctx, Unfinished)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err == nil:
		return fmt.Errorf("%w: move data_dir away and restore again", ErrPartial)
	}
	return err
}
