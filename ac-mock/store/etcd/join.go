package etcd

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
)

// ErrRemoved is wrapped when the others have removed this member.
var ErrRemoved = errors.New("this member was removed from the cluster")

// ErrNotMember is wrapped when a member that is to join was not added before.
var ErrNotMember = errors.New("this member was not added to the cluster")

const askWithin = 5 * time.Second

// seen is a member as its peers' /members tells it.
type seen struct {
	Name     string   `json:"name"`
	PeerURLs []string `json:"peerURLs"`
}

// join makes a member without data one of those that Options.Join names. One
// that has data is a member already.
func join(ctx context.Context, cfg *embed.Config, o Options) error {
	if _, err := os.Stat(filepath.Join(cfg.Dir, "member")); err == nil || len(o.Join) == 0 {
		return nil
	}
	all, err := membersAt(ctx, cfg.PeerTLSInfo, o.Join)
	if err != nil {
		return err
	}
	var cluster []string
	own := false
	for n, m := range all {
		if own = own || slices.Contains(m.PeerURLs, o.PeerURL); slices.Contains(m.PeerURLs, o.PeerURL) {
			m.Name = o.Name
		} else if m.Name == "" {
			m.Name = fmt.Sprintf("unstarted-%d", n)
		}
		for _, u := range m.PeerURLs {
			cluster = append(cluster, m.Name+"="+u)
		}
	}
	if !own {
		return fmt.Errorf("join the members at %s as %s: %w", strings.Join(o.Join, ", "), o.PeerURL, ErrNotMember)
	}
	cfg.InitialCluster, cfg.ClusterState = strings.Join(cluster, ","), embed.ClusterStateFlagExisting
	return nil
}

// membersAt asks the first peer that answers who the members are.
func membersAt(ctx context.Context, info transport.TLSInfo, peers []string) ([]seen, error) {
	conf, err := info.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("certificates for peers: %w", err)
	}
	var failed []error
	for _, p := range peers {
		all, err := ask(ctx, conf, p)
		if err == nil {
			return all, nil
		}
		failed = append(failed, err)
	}
	return nil, fmt.Errorf("join: no member answers: %w", errors.Join(failed...))
}

func ask(ctx context.Context, conf *tls.Config, peer string) (all []seen, err error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	t := &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(peer, "/")+"/members", nil)
	if err != nil {
		return nil, err
	}
	res, err := t.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s for the members: %w", peer, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s for the members: %s", peer, res.Status)
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, res.Body, 1<<20)).Decode(&all); err != nil {
		return nil, fmt.Errorf("ask %s for the members: %w", peer, err)
	}
	return all, nil
}
