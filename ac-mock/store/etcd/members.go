package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"

	"github.com/g8os/g8os/ac-mock/store"
)

// Member is one of those that keep the data together.
type Member struct {
	ID      uint64
	Name    string // empty until it has started for the first time
	PeerURL string
	Learner bool // it takes part, and does not vote yet
	Leader  bool // as this member knows it
}

// member is the store of an embedded member.
type member struct {
	*client
	server *embed.Etcd
}

// Members lists the cluster as this member knows it, also without a majority.
func (m *member) Members(ctx context.Context) ([]Member, error) {
	r, err := m.etcd.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return nil, m.failed("list", "the members", err)
	}
	leader := uint64(m.server.Server.Leader())
	var all []Member
	for _, e := range r.Members {
		one := Member{ID: e.ID, Name: e.Name, Learner: e.IsLearner, Leader: e.ID == leader}
		if len(e.PeerURLs) > 0 {
			one.PeerURL = e.PeerURLs[0]
		}
		all = append(all, one)
	}
	return all, nil
}

// Self is this member's own id.
func (m *member) Self() uint64 { return uint64(m.server.Server.MemberID()) }

// AddMember lets one more in, which has to be started then with Options.Join.
// It votes once it has caught up.
func (m *member) AddMember(ctx context.Context, peer string) (Member, error) {
	if _, err := peerURL(peer); err != nil || peer == standInPeer {
		return Member{}, errors.Join(err, fmt.Errorf("peer URL %q: nobody else reaches it", peer))
	}
	var r *clientv3.MemberAddResponse
	err := settled(ctx, func() (err error) {
		r, err = m.etcd.MemberAddAsLearner(ctx, []string{peer})
		return err
	})
	if err != nil {
		return Member{}, m.failed("add", "member "+peer, err)
	}
	return Member{ID: r.Member.ID, PeerURL: peer, Learner: true}, nil
}

// settleWithin is how long etcd may find a cluster unhealthy whose members are
// all there: it wants them to have been connected for five seconds.
const settleWithin = 10 * time.Second

// settled repeats a change of the membership while the cluster is too young for it.
func settled(ctx context.Context, change func() error) error {
	end := time.NewTimer(settleWithin)
	defer end.Stop()
	for {
		err := change()
		if !errors.Is(rpctypes.Error(err), rpctypes.ErrUnhealthy) && !errors.Is(err, etcderrors.ErrUnhealthy) {
			return err
		}
		select {
		case <-time.After(promoteEvery):
		case <-end.C:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

// RemoveMember shuts one out for good. etcd refuses what would leave no
// majority of those that run.
func (m *member) RemoveMember(ctx context.Context, id uint64) error {
	err := settled(ctx, func() error {
		_, err := m.etcd.MemberRemove(ctx, id)
		return err
	})
	if err != nil {
		return m.failed("remove", fmt.Sprintf("member %x", id), err)
	}
	return nil
}

// Ended is closed when the member has stopped: closed, or removed from the
// cluster by the others.
func (m *member) Ended() <-chan struct{} { return m.server.Server.StopNotify() }

const promoteEvery = 500 * time.Millisecond

// promote lets this member vote as soon as it has caught up with the others.
func (m *member) promote(log *slog.Logger) {
	if !m.server.Server.IsLearner() {
		return
	}
	m.wg.Go(func() {
		t := time.NewTicker(promoteEvery)
		defer t.Stop()
		for m.server.Server.IsLearner() {
			select {
			case <-m.ctx.Done():
				return
			case <-t.C:
			}
			if _, err := m.etcd.MemberPromote(m.ctx, m.Self()); err != nil {
				log.Debug("this member does not vote yet", "reason", err)
			}
		}
		log.Info("this member votes")
	})
}

// started waits until the member can serve. Without a majority of the members
// it cannot.
func started(ctx context.Context, server *embed.Etcd, log *slog.Logger) error {
	patience := time.NewTimer(5 * time.Second)
	defer patience.Stop()
	for {
		select {
		case <-server.Server.ReadyNotify():
			return nil
		case err := <-server.Err():
			return err
		case <-server.Server.StopNotify():
			return ErrRemoved
		case <-patience.C:
			log.Warn("waiting for a majority of the members: start the others")
		case <-ctx.Done():
			return fmt.Errorf("%w: it has no quorum: %w", store.ErrUnavailable, context.Cause(ctx))
		}
	}
}
