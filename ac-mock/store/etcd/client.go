package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/g8os/g8os/ac-mock/store"
)

// client is store.Store over an etcd client, in-process or remote.
type client struct {
	etcd    *clientv3.Client
	prefix  string
	stop    func() error // what to do after the client is closed
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	closing sync.Once
	err     error
}

func newClient(c *clientv3.Client, prefix string, stop func() error) *client {
	s := &client{etcd: c, prefix: prefix, stop: stop}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Dial connects to a cluster and waits until it answers.
func Dial(ctx context.Context, o DialOptions) (store.Store, error) {
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c, err := clientv3.New(clientv3.Config{
		Endpoints: o.Endpoints, TLS: o.TLS, Logger: newLogger(o.Log), DialTimeout: 5 * time.Second,
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 5 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("etcd cluster at %v: %w", o.Endpoints, err)
	}
	s := newClient(c, o.Prefix, nil)
	if _, err := s.Revision(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("etcd cluster at %v: %w", o.Endpoints, err), s.Close())
	}
	return s, nil
}

func (s *client) Get(ctx context.Context, key string) (store.KV, error) {
	r, err := s.etcd.Get(ctx, s.prefix+key)
	if err != nil {
		return store.KV{}, s.failed("read", key, err)
	}
	if len(r.Kvs) == 0 {
		return store.KV{}, fmt.Errorf("read %s: %w", key, store.ErrNotFound)
	}
	kv := r.Kvs[0]
	return store.KV{Key: key, Value: kv.Value, Created: kv.CreateRevision, Modified: kv.ModRevision}, nil
}

func (s *client) List(ctx context.Context, prefix string, o store.ListOptions) (store.Page, error) {
	limit := o.Limit
	if limit <= 0 {
		limit = store.DefaultPage
	}
	from := s.prefix + max(prefix, o.From)
	if from == "" {
		from = "\x00" // etcd's name for the first key
	}
	opts := []clientv3.OpOption{
		clientv3.WithRange(clientv3.GetPrefixRangeEnd(s.prefix + prefix)),
		clientv3.WithLimit(int64(limit)), clientv3.WithRev(o.Revision),
	}
	if o.KeysOnly {
		opts = append(opts, clientv3.WithKeysOnly())
	}
	r, err := s.etcd.Get(ctx, from, opts...)
	if err != nil {
		return store.Page{}, s.failed("list", prefix, err)
	}
	page := store.Page{Revision: o.Revision}
	if page.Revision == 0 {
		page.Revision = r.Header.Revision
	}
	for _, kv := range r.Kvs {
		page.KVs = append(page.KVs, store.KV{
			Key: s.name(kv.Key), Value: kv.Value, Created: kv.CreateRevision, Modified: kv.ModRevision,
		})
	}
	if r.More {
		page.Next = page.KVs[len(page.KVs)-1].Key + "\x00"
	}
	return page, nil
}

func (s *client) Txn(ctx context.Context, t store.Txn) (int64, error) {
	if len(t.If) > store.MaxOps || len(t.Then) > store.MaxOps {
		return 0, fmt.Errorf("transaction of %d conditions and %d writes: want at most %d each", len(t.If), len(t.Then), store.MaxOps)
	}
	conds := make([]clientv3.Cmp, 0, len(t.If))
	for _, c := range t.If {
		conds = append(conds, clientv3.Compare(clientv3.ModRevision(s.prefix+c.Key), "=", c.Modified))
	}
	ops := make([]clientv3.Op, 0, len(t.Then))
	for _, op := range t.Then {
		if op.Delete {
			ops = append(ops, clientv3.OpDelete(s.prefix+op.Key))
			continue
		}
		ops = append(ops, clientv3.OpPut(s.prefix+op.Key, string(op.Value), clientv3.WithLease(clientv3.LeaseID(op.Lease))))
	}
	r, err := s.etcd.Txn(ctx).If(conds...).Then(ops...).Commit()
	if err != nil {
		return 0, s.failed("write", txnName(t), err)
	}
	if !r.Succeeded {
		return 0, fmt.Errorf("write %s: %w", txnName(t), store.ErrConflict)
	}
	return r.Header.Revision, nil
}

func txnName(t store.Txn) string {
	if len(t.Then) == 0 {
		return "nothing"
	}
	return t.Then[0].Key
}

func (s *client) Grant(ctx context.Context, ttl time.Duration) (store.LeaseID, error) {
	r, err := s.etcd.Grant(ctx, int64((ttl+time.Second-1)/time.Second))
	if err != nil {
		return 0, s.failed("grant", "a lease", err)
	}
	return store.LeaseID(r.ID), nil
}

func (s *client) KeepAlive(ctx context.Context, id store.LeaseID) error {
	if _, err := s.etcd.KeepAliveOnce(ctx, clientv3.LeaseID(id)); err != nil {
		return s.failed("keep alive", fmt.Sprintf("lease %x", int64(id)), err)
	}
	return nil
}

func (s *client) Revoke(ctx context.Context, id store.LeaseID) error {
	if _, err := s.etcd.Revoke(ctx, clientv3.LeaseID(id)); err != nil {
		return s.failed("revoke", fmt.Sprintf("lease %x", int64(id)), err)
	}
	return nil
}

func (s *client) Revision(ctx context.Context) (int64, error) {
	r, err := s.etcd.Get(ctx, s.prefix+"revision?", clientv3.WithCountOnly())
	if err != nil {
		return 0, s.failed("read", "the revision", err)
	}
	return r.Header.Revision, nil
}

func (s *client) Close() error {
	s.closing.Do(func() {
		s.cancel()
		err := s.etcd.Close()
		if errors.Is(err, context.Canceled) {
			err = nil // the in-process client's way to say that it is closed
		}
		if s.stop != nil {
			err = errors.Join(err, s.stop())
		}
		s.wg.Wait()
		s.err = err
	})
	return s.err
}

func (s *client) name(key []byte) string { return strings.TrimPrefix(string(key), s.prefix) }

func (s *client) failed(what, on string, err error) error {
	if s.ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w: %w", what, on, store.ErrClosed, err)
	}
	return fmt.Errorf("%s %s: %w", what, on, translate(err))
}

var meanings = []struct {
	means error
	codes []error
}{
	{store.ErrNotFound, []error{rpctypes.ErrLeaseNotFound}},
	{store.ErrFull, []error{rpctypes.ErrNoSpace}},
	{store.ErrCompacted, []error{rpctypes.ErrCompacted}},
	{store.ErrUnavailable, []error{
		rpctypes.ErrNoLeader, rpctypes.ErrNotLeader, rpctypes.ErrLeaderChanged, rpctypes.ErrStopped, rpctypes.ErrTimeout,
		rpctypes.ErrTimeoutDueToLeaderFail, rpctypes.ErrTimeoutDueToConnectionLost, rpctypes.ErrUnhealthy,
		rpctypes.ErrTooManyRequests, rpctypes.ErrTimeoutWaitAppliedIndex,
	}},
}

// translate gives etcd's errors the names of the contract. The embedded
// server and the remote one wrap them differently, so both forms are looked at.
func translate(err error) error {
	plain := rpctypes.Error(err)
	for _, m := range meanings {
		if slices.ContainsFunc(m.codes, func(c error) bool { return errors.Is(plain, c) || errors.Is(err, c) }) {
			return fmt.Errorf("%w: %w", m.means, err)
		}
	}
	// A store that does not answer in the time there is has no majority, or as good as.
	if status.Code(err) == codes.Unavailable || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}
