package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/find"
	"github.com/g8os/g8os/core/network"
	"github.com/g8os/g8os/core/node/verdict"
	"github.com/g8os/g8os/core/secure"
	"github.com/g8os/g8os/core/ssh"
	"github.com/g8os/g8os/core/unlock"
	"github.com/g8os/g8os/core/version"
)

// keys is everything with which a node proves itself: the pinned CA, the
// vault, the client certificate. Vault and certificate are used by one
// operation at a time.
type keys struct {
	opt Options
	log *slog.Logger

	mu      sync.Mutex
	vault   *unlock.Vault
	links   []network.Link
	open    unlock.Result
	watched <-chan struct{} // tells when the volume that is open dies
	grace   graced

	work sync.Mutex // held while the vault or the certificate is used
}

func (k *keys) setLinks(l []network.Link) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.links = l
}

// finder reads the pinned CA each time: putting it there is how an operator
// mends a node without one.
func (k *keys) finder() (*find.Finder, error) {
	path := filepath.Join(k.opt.Dir, pinnedCA)
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: put the grid's CA into %s: %w", verdict.ErrNoCA, path, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: %s holds no PEM certificate; put the grid's CA there", verdict.ErrNoCA, path)
	}
	return &find.Finder{Pinned: pool, Clock: k.opt.Clock, Built: version.Built(), Revoked: k.revokedCAs(), Log: k.log}, nil
}

// theVault opens the folder with the keys, once it can be opened.
func (k *keys) theVault() (*unlock.Vault, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.vault != nil {
		return k.vault, nil
	}
	v, err := unlock.Open(unlock.Options{Dir: k.opt.Dir, Mount: k.opt.Mount, RunDir: k.opt.RunDir, Log: k.log, TPM: k.opt.TPM})
	if err != nil {
		return nil, err
	}
	k.vault = v
	return v, nil
}

// fingerprint is that of the device key, empty while there is none.
func (k *keys) fingerprint() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.vault == nil {
		return ""
	}
	return k.vault.Device().Fingerprint()
}

// claim is what the node says of itself.
func (k *keys) claim(where api.Whereabouts) api.Claim {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := api.Claim{Where: where}
	c.Hostname, _ = os.Hostname()
	for _, l := range k.links {
		if l.Card && l.MAC != "" {
			c.MACs = append(c.MACs, l.MAC)
		}
	}
	slices.Sort(c.MACs)
	c.MACs = slices.Compact(c.MACs)
	c.TPM = k.vault != nil && k.vault.Sealed()
	return c
}

// unlock opens the volume. A volume that is open needs no AC, unless the node
// is to prove itself. The channel, if any, is to be watched: it is closed when
// the volume dies.
func (k *keys) unlock(ctx context.Context, e boot.Unlock) (boot.Unlocked, <-chan struct{}) {
	k.work.Lock()
	defer k.work.Unlock()
	fail := func(err error) (boot.Unlocked, <-chan struct{}) {
		return boot.Unlocked{ID: e.ID, Failure: verdict.Of(err)}, nil
	}
	v, err := k.theVault()
	if err != nil {
		return fail(err)
	}
	r, isOpen := v.AlreadyOpen()
	if !isOpen || e.Prove || k.byGrace() { // what was opened without an AC it is to hear of
		if r, err = k.ask(ctx, v, e, r, isOpen); err != nil {
			return fail(err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open, k.grace.open, k.grace.over = r, false, ""
	died := v.Died()
	if died == k.watched {
		died = nil // somebody watches it already
	} else {
		k.watched = died
	}
	return boot.Unlocked{ID: e.ID, NodeID: string(r.NodeID)}, died
}

// isOpen tells whether the volume is open: an earlier g8os_core has opened it, or
// a person with the recovery key.
func (k *keys) isOpen() bool {
	k.work.Lock()
	defer k.work.Unlock()
	v, err := k.theVault()
	if err != nil {
		return false
	}
	_, is := v.AlreadyOpen()
	return is
}

// ask has the AC unlock the volume, or, where it is open, hear the proof.
func (k *keys) ask(ctx context.Context, v *unlock.Vault, e boot.Unlock, r unlock.Result, isOpen bool) (unlock.Result, error) {
	conn, err := k.connect(ctx, e.Path, nil)
	if err != nil {
		return r, err
	}
	defer conn.Close()
	claim := k.claim(e.Path.Where(boot.PhaseUnlock))
	if isOpen {
		err = v.Prove(ctx, conn, claim)
	} else {
		claim.Token = k.joinToken(v)
		if r, err = v.Run(ctx, conn, claim); err == nil {
			k.forgetToken()
		}
	}
	k.refusedBy(v, err)
	return r, err
}

// byGrace says whether the volume was opened without an AC, and none knows so yet.
func (k *keys) byGrace() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.grace.open
}

// secure returns when the client certificate wants renewing, after fetching
// one where that is needed.
func (k *keys) secure(ctx context.Context, e boot.Secure) boot.Secured {
	k.work.Lock()
	defer k.work.Unlock()
	if !e.Renew {
		if c, err := k.loadFor(ctx, e.Path); err == nil {
			return boot.Secured{ID: e.ID, RenewAt: k.renewAt(c, c.Leaf.NotBefore)}
		} else if !errors.Is(err, secure.ErrMissing) {
			k.log.Warn("client certificate is replaced", "reason", err)
		}
	}
	c, err := k.obtain(ctx, e.Path)
	if err != nil {
		return boot.Secured{ID: e.ID, Failure: verdict.Of(err)}
	}
	return boot.Secured{ID: e.ID, RenewAt: k.renewAt(c, k.opt.Clock.Now())}
}

func (k *keys) obtain(ctx context.Context, p boot.Path) (secure.Credentials, error) {
	v, err := k.theVault()
	if err != nil {
		return secure.Credentials{}, err
	}
	finder, err := k.finder()
	if err != nil {
		return secure.Credentials{}, err
	}
	conn, err := finder.Open(ctx, target(p), nil)
	if err != nil {
		return secure.Credentials{}, err
	}
	defer conn.Close()
	c, settings, err := secure.Obtain(ctx, conn, v.Device(), secure.Request{
		Dir: k.sslDir(), ID: k.identity(), Pinned: finder.Pinned, Now: k.opt.Clock.Now(),
	})
	if err == nil {
		k.settle(settings)
	}
	if errors.Is(err, secure.ErrNotYet) { // if our clock was behind, the next attempt has it put right
		if cerr := finder.CompareClock(ctx, conn); cerr != nil {
			return c, fmt.Errorf("%s: comparing the clock: %w", err.Error(), cerr)
		}
	}
	return c, err
}

// settle puts the AC's settings into force.
func (k *keys) settle(s api.Settings) {
	changed, err := ssh.SetAuthorizedKeys(filepath.Join(k.opt.Mount, "ssh"), s.AuthorizedKeys)
	if err != nil {
		k.log.Warn("authorized keys stay as they were", "error", err)
	} else if changed {
		k.log.Info("authorized keys replaced", "count", len(s.AuthorizedKeys))
	}
	k.settleRevoked(s)
	k.settleGrace(s.Grace)
}

func (k *keys) load() (secure.Credentials, error) {
	return secure.Load(durable.OS, k.sslDir(), k.identity(), k.opt.Clock.Now())
}

// loadFor loads the certificate for use with an AC. That it is not valid yet is
// said only when the clock has been compared with the AC's.
func (k *keys) loadFor(ctx context.Context, p boot.Path) (secure.Credentials, error) {
	c, err := k.load()
	if !errors.Is(err, secure.ErrNotYet) {
		return c, err
	}
	finder, err := k.finder()
	if err != nil {
		return c, err
	}
	conn, err := finder.Open(ctx, target(p), nil)
	if err != nil {
		return c, err
	}
	defer conn.Close()
	if err := finder.CompareClock(ctx, conn); err != nil {
		return c, fmt.Errorf("comparing the clock: %w", err)
	}
	return k.load()
}

func (k *keys) sslDir() string { return filepath.Join(k.opt.Mount, "ssl") }

func (k *keys) identity() api.Identity {
	k.mu.Lock()
	defer k.mu.Unlock()
	return api.Identity{Grid: k.open.Grid, Role: api.RoleNode, Name: string(k.open.NodeID)}
}

// renewAt turns the certificate's calendar into the loop's: the two clocks
// differ by whatever the node's own was put right by.
func (k *keys) renewAt(c secure.Credentials, issued time.Time) time.Time {
	at := secure.RenewAt(c.Leaf, issued, randomSeed())
	return time.Now().Add(at.Sub(k.opt.Clock.Now()))
}

// connect opens a proven connection over a path.
func (k *keys) connect(ctx context.Context, p boot.Path, cert *tls.Certificate) (*find.Conn, error) {
	finder, err := k.finder()
	if err != nil {
		return nil, err
	}
	return finder.Open(ctx, target(p), cert)
}

func target(p boot.Path) find.Target {
	return find.Target{Controller: p.Controller, Interface: p.Interface, Source: p.Address.Addr(), DNS: p.DNS}
}
