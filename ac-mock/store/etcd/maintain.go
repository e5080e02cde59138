package etcd

import (
	"context"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const maintainEvery = time.Hour

func newLogger(l *slog.Logger) *zap.Logger { return zap.New(&bridge{log: l}) }

// maintain gives disk space back once an hour when more than half of a large
// file is free. Writes wait meanwhile, some ms for each 10 MiB in use, so it is
// not done for little. History itself is compacted by etcd.
func (s *client) maintain(log *slog.Logger) {
	s.wg.Go(func() {
		t := time.NewTicker(maintainEvery)
		defer t.Stop()
		for {
			select {
			case <-s.ctx.Done():
				return
			case <-t.C:
				s.defragment(log)
			}
		}
	})
}

func (s *client) defragment(log *slog.Logger) {
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	st, err := s.etcd.Status(ctx, "")
	if err != nil {
		log.Warn("cannot read the size of the store", "err", err)
		return
	}
	if !worthIt(st) {
		return
	}
	began := time.Now()
	if _, err := s.etcd.Defragment(ctx, ""); err != nil {
		log.Warn("cannot defragment the store", "err", err)
		return
	}
	log.Info("store defragmented", "bytes_before", st.DbSize, "bytes_in_use", st.DbSizeInUse, "took", time.Since(began))
}

func worthIt(st *clientv3.StatusResponse) bool {
	return st.DbSize > defragAbove && st.DbSizeInUse < st.DbSize/2
}
