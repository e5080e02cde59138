package etcd

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/g8os/g8os/ac-mock/store"
)

func (s *client) Watch(ctx context.Context, prefix string, from int64) <-chan store.Batch {
	out := make(chan store.Batch, 1)
	if from == 0 {
		// etcd would begin when the request arrives there; "now" is here.
		now, err := s.Revision(ctx)
		if err != nil {
			out <- store.Batch{Err: fmt.Errorf("watch %s: %w", prefix, err)}
			close(out)
			return out
		}
		from = now + 1
	}
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(s.ctx, cancel)
	in := s.etcd.Watch(clientv3.WithRequireLeader(ctx), s.prefix+prefix, clientv3.WithPrefix(), clientv3.WithRev(from))
	s.wg.Go(func() {
		defer func() { unhook(); cancel(); close(out) }()
		for r := range in {
			b := s.batch(r)
			if b.Err == nil && len(b.Events) == 0 {
				continue
			}
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
			if b.Err != nil {
				return
			}
		}
	})
	return out
}

func (s *client) batch(r clientv3.WatchResponse) store.Batch {
	b := store.Batch{Revision: r.Header.Revision}
	if err := r.Err(); err != nil {
		if r.CompactRevision != 0 {
			err = fmt.Errorf("watch: %w: kept from revision %d on", store.ErrCompacted, r.CompactRevision)
		} else {
			err = fmt.Errorf("watch: %w", translate(err))
		}
		b.Err = err
		return b
	}
	for _, e := range r.Events {
		b.Events = append(b.Events, store.Event{
			Deleted: e.Type == clientv3.EventTypeDelete,
			KV: store.KV{
				Key: s.name(e.Kv.Key), Value: e.Kv.Value, Created: e.Kv.CreateRevision, Modified: e.Kv.ModRevision,
			},
		})
	}
	return b
}
