package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"

	"github.com/g8os/g8os/ac-mock/store"
)

// standInPeer is the peer URL of a member that is alone. Nothing listens
// there; the first real PeerURL replaces it in the membership.
const standInPeer = "http://127.0.0.1:2380"

// Open starts the embedded member and waits until it can serve. Errors wrap
// store.ErrLocked when another process has Dir open.
func Open(ctx context.Context, o Options) (store.Store, error) {
	o = o.withDefaults()
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	cfg, err := config(o)
	if err == nil {
		err = join(ctx, cfg, o)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the embedded etcd in %s: %w", o.Dir, err), lock.Close())
	}
	stop := func() error { server.Close(); return lock.Close() }
	if err := started(ctx, server, o.Log); err != nil {
		return nil, errors.Join(fmt.Errorf("start the embedded etcd in %s: %w", o.Dir, err), stop())
	}
	m := &member{client: newClient(v3client.New(server.Server), "", stop), server: server}
	if err := m.announce(ctx, m.Self(), o.PeerURL); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	m.maintain(o.Log)
	m.promote(o.Log)
	return m, nil
}

// lockDir makes the folder and keeps other processes out of it. etcd itself
// would wait for the other one for ever.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("data folder %s: %w: stop the other one, or give this one a folder of its own", dir, store.ErrLocked)
	}
	return f, nil
}

func config(o Options) (*embed.Config, error) {
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = o.Name, filepath.Join(o.Dir, "etcd")
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(&bridge{log: o.Log}))
	cfg.LogLevel = "warn"
	cfg.QuotaBackendBytes = o.QuotaBytes
	cfg.MaxRequestBytes = maxRequestBytes
	cfg.MaxTxnOps = store.MaxOps
	cfg.SnapshotCount, cfg.SnapshotCatchUpEntries = snapshotEvery, snapshotCatchUp
	cfg.AutoCompactionMode = embed.CompactorModePeriodic
	cfg.AutoCompactionRetention = o.Keep.String()
	cfg.BootstrapDefragThresholdMegabytes = defragAtStartMB
	cfg.TickMs, cfg.ElectionMs = aloneTickMS, aloneElectionMS
	// Clients are in this process: no client port.
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = nil, nil
	cfg.ListenPeerUrls = nil
	peer := o.PeerURL
	if peer == "" {
		peer = standInPeer
	}
	u, err := peerURL(peer)
	if err != nil {
		return nil, err
	}
	if o.PeerURL != "" {
		if err := withPeers(cfg, o, u); err != nil {
			return nil, err
		}
	}
	cfg.AdvertisePeerUrls = []url.URL{u}
	cfg.InitialCluster = o.Name + "=" + peer
	return cfg, nil
}

func peerURL(s string) (url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Port() == "" || u.Hostname() == "" || (u.Scheme != "https" && s != standInPeer) {
		return url.URL{}, fmt.Errorf("peer URL %q: want https://IP:PORT, an address at which the other members reach this one", s)
	}
	return *u, nil
}

// withPeers opens the peer port, with mutual TLS, and gives elections the time
// that members on a network need.
func withPeers(cfg *embed.Config, o Options, u url.URL) error {
	if o.PeerTLS.Certificate == "" || o.PeerTLS.Key == "" || o.PeerTLS.CA == "" {
		return fmt.Errorf("peer URL %s: peers need TLS, give the files of certificate, key and CA", o.PeerURL)
	}
	cfg.ListenPeerUrls = []url.URL{u}
	cfg.PeerTLSInfo = transport.TLSInfo{
		CertFile: o.PeerTLS.Certificate, KeyFile: o.PeerTLS.Key,
		TrustedCAFile: o.PeerTLS.CA, ClientCertAuth: true,
		// Who has a certificate of the peers' own CA is a peer, whatever address
		// it comes from: a machine with several legs calls by any of them.
		SkipClientSANVerify: true,
	}
	cfg.TickMs, cfg.ElectionMs = peersTickMS, peersElectionMS
	return nil
}

// announce brings this member's peer URL in the membership up to date, so that
// a member that was alone can get peers.
func (c *client) announce(ctx context.Context, member uint64, peer string) error {
	if peer == "" {
		return nil
	}
	list, err := c.etcd.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return fmt.Errorf("read the etcd membership: %w", translate(err))
	}
	for _, m := range list.Members {
		if m.ID != member || slices.Equal(m.PeerURLs, []string{peer}) {
			continue
		}
		if _, err := c.etcd.MemberUpdate(ctx, member, []string{peer}); err != nil {
			return fmt.Errorf("set the peer URL %s in the etcd membership: %w", peer, translate(err))
		}
	}
	return nil
}
