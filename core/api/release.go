package api

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Paths of upgrades, for operators. {sum} is a SHA-256 in hex.
const (
	PathReleases   = "/api/releases"       // POST Release, answers Release with Have
	PathReleaseSum = "/api/releases/{sum}" // PUT the file itself; GET, for other ACs
	PathUpgrade    = "/api/upgrade"        // GET Upgrade; POST UpgradeRequest, answers Upgrade
	PathUpgradeDo  = "/api/upgrade/{do}"   // POST; do is pause, resume or halt; answers Upgrade
)

// Release describes one build of g8os_core, signed by who released it.
type Release struct {
	Version   string    `json:"version"`
	Arch      string    `json:"arch"`   // as Go names it: amd64, arm64
	Built     time.Time `json:"built"`  // when its source was committed: releases are ordered by it
	Sum       string    `json:"sha256"` // of the file, in hex
	Size      int64     `json:"size"`   // bytes
	Signature []byte    `json:"signature,omitempty"`
	Have      bool      `json:"have,omitempty"` // the AC has the file
}

// MaxRelease bounds the file of a release, in bytes.
const MaxRelease = 512 << 20

// releaseLabel keeps the signature of a release from being taken for any other.
const releaseLabel = "g8os core release v1"

// ErrUnsigned is wrapped when a release is not signed with an accepted key.
var ErrUnsigned = errors.New("no accepted key has signed this release")

// Check says what is wrong with the description itself.
func (r Release) Check() error {
	switch {
	case r.Version == "" || len(r.Version) > 128 || Shown(r.Version, 128) != r.Version:
		return fmt.Errorf("release: version %q, want 1 to 128 characters of printable ASCII", Shown(r.Version, 64))
	case r.Arch == "" || strings.Trim(r.Arch, "abcdefghijklmnopqrstuvwxyz0123456789") != "":
		return fmt.Errorf("release: architecture %q, want one as Go names it, such as amd64", Shown(r.Arch, 32))
	case !IsLayer(r.Sum):
		return fmt.Errorf("release: sha256 %q, want 64 hex digits", Shown(r.Sum, 80))
	case r.Size <= 0 || r.Size > MaxRelease:
		return fmt.Errorf("release: size of %d bytes, want 1 to %d", r.Size, MaxRelease)
	}
	return nil
}

// message is what is signed: every field on a line of its own, none of which
// can hold a line end (Check).
func (r Release) message() []byte {
	return fmt.Appendf(nil, "%s\n%s\n%s\n%d\n%s\n%d\n", releaseLabel, r.Version, r.Arch, r.Built.Unix(), r.Sum, r.Size)
}

// Sign returns the release with its signature.
func (r Release) Sign(key ed25519.PrivateKey) (Release, error) {
	r.Built, r.Have = r.Built.UTC().Truncate(time.Second), false
	if err := r.Check(); err != nil {
		return r, err
	}
	r.Signature = ed25519.Sign(key, r.message())
	return r, nil
}

// Verify says whether one of the keys has signed exactly this. Errors wrap
// ErrUnsigned, or are Check's.
func (r Release) Verify(keys []ed25519.PublicKey) error {
	if err := r.Check(); err != nil {
		return err
	}
	signed := func(k ed25519.PublicKey) bool { return ed25519.Verify(k, r.message(), r.Signature) }
	if !slices.ContainsFunc(keys, signed) {
		return fmt.Errorf("%s for %s, sha256 %.12s: %w", r.Version, r.Arch, r.Sum, ErrUnsigned)
	}
	return nil
}

// ParseReleaseKeys reads the public keys that a node accepts: PEM blocks, PKIX,
// Ed25519. Several are possible: that is how one replaces another.
func ParseReleaseKeys(text []byte) (keys []ed25519.PublicKey, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("release key: %w", err)
		}
		public, ok := key.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("release key: it is a %T, want Ed25519 (g8os upgrade key makes one)", key)
		}
		keys = append(keys, public)
	}
	if len(keys) == 0 {
		return nil, errors.New("release key: no PEM block of a public key (g8os upgrade key makes one)")
	}
	return keys, nil
}

// UpgradeArgs are the arguments of BuiltinUpgrade. Repeated with the same ID it
// does nothing twice, and answers what became of the first.
type UpgradeArgs struct {
	ID             string  `json:"id"`
	Release        Release `json:"release"`
	AllowDowngrade bool    `json:"allow_downgrade,omitempty"`
	ProveMS        int64   `json:"prove_ms,omitempty"` // within which it has to be managed again; 0: 2 minutes
}

// Upgraded is what BuiltinUpgrade answers when the new version has proved itself.
type Upgraded struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Already bool   `json:"already,omitempty"` // it was the running one before
}

// GoingDown is what BuiltinReboot and BuiltinPowerOff answer before the machine
// goes.
type GoingDown struct {
	How    string `json:"how"` // reboot | power off
	BootID string `json:"boot_id"`
}

// UpgradeRequest begins an upgrade of many nodes (POST PathUpgrade): canaries
// first, then step after step, each when the one before is proved.
type UpgradeRequest struct {
	Sum            string  `json:"sha256"` // of a release that the AC has
	To             Address `json:"to"`
	Canary         int     `json:"canary"`       // how many nodes come first, alone
	StepPercent    int     `json:"step_percent"` // of all, for each step after them; 1 to 100
	PauseMS        int64   `json:"pause_ms"`     // between two steps
	HaltAfter      int     `json:"halt_after"`   // so many failures, and nobody new is begun; 0: never
	AllowDowngrade bool    `json:"allow_downgrade,omitempty"`
	ProveMS        int64   `json:"prove_ms,omitempty"`
}

// UpgradeState is how far an upgrade has come on one node.
type UpgradeState string

// The states; the last three are ends.
const (
	UpgradeWaiting    UpgradeState = "waiting"     // not its turn yet, or away
	UpgradeUnderWay   UpgradeState = "under way"   // it fetches, restarts or is on trial
	UpgradeProved     UpgradeState = "proved"      // the new version runs
	UpgradeRolledBack UpgradeState = "rolled back" // the old version runs: Why
	UpgradeRefused    UpgradeState = "refused"     // the node did not take it: Why
)

// Ended says whether nothing more comes of a state by itself.
func (s UpgradeState) Ended() bool {
	return s == UpgradeProved || s == UpgradeRolledBack || s == UpgradeRefused
}

// UpgradeNode is one node of an upgrade.
type UpgradeNode struct {
	Node  NodeID       `json:"node"`
	Name  string       `json:"name"`
	Step  int          `json:"step"` // 0: canary
	State UpgradeState `json:"state"`
	Why   string       `json:"why,omitempty"`
}

// Upgrade is what an operator sees of the last upgrade of the grid.
type Upgrade struct {
	ID      string               `json:"id"`
	Release Release              `json:"release"`
	By      string               `json:"by"`
	Started time.Time            `json:"started"`
	State   string               `json:"state"` // running | paused | halted | done
	Why     string               `json:"why,omitempty"`
	Step    int                  `json:"step"` // the last that was begun
	Steps   int                  `json:"steps"`
	Ended   *time.Time           `json:"ended"`
	Counts  map[UpgradeState]int `json:"counts"`
	Nodes   []UpgradeNode        `json:"nodes"`
}

// Exit codes of BuiltinUpgrade; 1 is any other failure, which may be tried again.
const (
	CodeRolledBack = 3
	CodeRefused    = 4
)
