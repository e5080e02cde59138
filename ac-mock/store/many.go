package store

import (
	"context"
	"slices"
)

// Keys lists the keys with a prefix, as of one revision.
func Keys(ctx context.Context, s Store, prefix string) (keys []string, err error) {
	o := ListOptions{KeysOnly: true}
	for {
		page, err := s.List(ctx, prefix, o)
		if err != nil {
			return nil, err
		}
		for _, kv := range page.KVs {
			keys = append(keys, kv.Key)
		}
		if page.Next == "" {
			return keys, nil
		}
		o.From, o.Revision = page.Next, page.Revision
	}
}

// Write carries out any number of writes, in several transactions where one
// does not do: who is killed between them leaves some undone.
func Write(ctx context.Context, s Store, ops []Op) error {
	for some := range slices.Chunk(ops, MaxOps) {
		if _, err := s.Txn(ctx, Txn{Then: some}); err != nil {
			return err
		}
	}
	return nil
}

// Remove deletes any number of keys, as Write.
func Remove(ctx context.Context, s Store, keys []string) error {
	ops := make([]Op, len(keys))
	for i, k := range keys {
		ops[i] = Delete(k)
	}
	return Write(ctx, s, ops)
}
