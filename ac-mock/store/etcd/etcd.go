// Package etcd keeps an AC's data in etcd: embedded in the process, or in an
// operator's own cluster; one code path for both.
//
// It promises what store.Store does, that nothing acknowledged is lost by a
// kill -9 or a power cut (every transaction is in the synced log before it
// returns), and that a member that was alone can get peers later without a
// migration: others join it one at a time, catch up, and vote from then on. It
// is not the operator's etcd tooling, and decides nothing about who may be a
// member (ac-mock/cluster does).
package etcd

import (
	"crypto/tls"
	"log/slog"
	"time"
)

// Options says how to embed a member. Dir is required, the rest has defaults.
type Options struct {
	// Dir holds the member's data; made with mode 0700 if it is not there. One
	// process at a time: a second one gets store.ErrLocked at once.
	Dir string
	// Name of this member in the cluster. Default "ac".
	Name string
	// PeerURL is where other members reach this one, https://IP:PORT. Empty: one
	// member, no peers, and no port is opened. It may be set, or changed, later:
	// the membership is brought up to date at Open.
	PeerURL string
	// PeerTLS is required with a PeerURL (both ways, mutual).
	PeerTLS PeerTLS
	// Join are peer URLs of members that have added this one (AddMember). They
	// are asked only while Dir holds no data. Empty: the first start founds a cluster.
	Join []string
	// QuotaBytes bounds the database file. Default 512 MiB.
	QuotaBytes int64
	// Keep is how long history is kept for watchers that come back, in whole
	// seconds. Default 10 min.
	Keep time.Duration
	// Log gets etcd's own messages, one level lower than etcd thinks of them. Default: none.
	Log *slog.Logger
}

// PeerTLS names the PEM files by which members prove themselves to each other.
type PeerTLS struct{ Certificate, Key, CA string }

// DialOptions says how to reach an operator's own cluster.
type DialOptions struct {
	Endpoints []string // https://HOST:PORT
	TLS       *tls.Config
	Prefix    string // of all keys, so that the cluster can be shared. Default "g8os/"
	Log       *slog.Logger
}

const (
	defaultName   = "ac"
	defaultPrefix = "g8os/"
	defaultQuota  = 512 << 20
	defaultKeep   = 10 * time.Minute

	// A member that is alone elects itself after one election timeout, so a
	// short one is what makes the start fast. With peers it must exceed their
	// round trips and disk stalls by far.
	aloneTickMS, aloneElectionMS       = 40, 200
	peersTickMS, peersElectionMS       = 100, 1000
	snapshotEvery                      = 2000 // entries; each is replayed at start and kept in memory until then
	snapshotCatchUp                    = 500  // entries kept behind a snapshot for slow members
	maxRequestBytes                    = 1 << 20
	defragAtStartMB                    = 64
	defragAbove                  int64 = 64 << 20 // bytes of file; below it is not worth the pause
)

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = defaultName
	}
	if o.QuotaBytes == 0 {
		o.QuotaBytes = defaultQuota
	}
	if o.Keep == 0 {
		o.Keep = defaultKeep
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
