// Package releases keeps the builds of g8os_core that an operator has brought
// to the ACs.
//
// It promises that a file under its name is whole and is what the operator
// described (SHA-256, size), whatever was interrupted; and that every AC on the
// store knows who has which. It verifies no signature: nodes do, with keys that
// no AC has. It moves nothing between ACs: ac-mock/server does.
//
// Keys in the store: release/SHA-256 → Known.
package releases

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

// Errors that operators can do something about.
var (
	// ErrNone: no AC has been given this release.
	ErrNone = errors.New("no such release")
	// ErrInput: what came is not what was described.
	ErrInput = errors.New("it is not that release")
)

const prefix = "release/"

// Known is a release as it is stored.
type Known struct {
	Release api.Release `json:"release"`
	By      string      `json:"by"` // spiffe URI of the operator
}

// Shelf is one AC's folder of releases. Its methods may be called concurrently.
type Shelf struct {
	store store.Store
	dir   string
	note  func(ctx context.Context, actor, action string, node api.NodeID, detail string) error
}

// New returns the shelf in a folder, which is made when something is put there.
// note writes the audit.
func New(s store.Store, dir string, note func(ctx context.Context, actor, action string, node api.NodeID, detail string) error) *Shelf {
	return &Shelf{s, dir, note}
}

func (s *Shelf) path(sum string) string { return filepath.Join(s.dir, sum) }

// Add makes a release known, and says whether this AC has its file.
func (s *Shelf) Add(ctx context.Context, actor string, r api.Release) (api.Release, error) {
	if err := r.Check(); err != nil {
		return r, fmt.Errorf("%w: %w", ErrInput, err)
	}
	r.Have = false
	value, err := json.Marshal(Known{r, actor})
	if err != nil {
		return r, err
	}
	if err := s.note(ctx, actor, "release", "", fmt.Sprintf("g8os_core %s for %s, sha256 %s", r.Version, r.Arch, r.Sum)); err != nil {
		return r, err
	}
	if _, err := s.store.Txn(ctx, store.Txn{Then: []store.Op{store.Put(prefix+r.Sum, value)}}); err != nil {
		return r, fmt.Errorf("release %.12s: %w", r.Sum, err)
	}
	_, err = os.Stat(s.path(r.Sum))
	r.Have = err == nil
	return r, nil
}

// Known finds a release by its hash. Errors wrap ErrNone.
func (s *Shelf) Known(ctx context.Context, sum string) (k Known, err error) {
	kv, err := s.store.Get(ctx, prefix+sum)
	if errors.Is(err, store.ErrNotFound) {
		return k, fmt.Errorf("release %.12s: %w", sum, ErrNone)
	}
	if err != nil {
		return k, err
	}
	return k, json.Unmarshal(kv.Value, &k)
}

// Open opens the file of a release that is here. Errors wrap ErrNone.
func (s *Shelf) Open(sum string) (*os.File, error) {
	if !api.IsLayer(sum) {
		return nil, fmt.Errorf("release %.80q: %w", sum, ErrNone)
	}
	f, err := os.Open(s.path(sum))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("release %.12s: %w", sum, ErrNone)
	}
	return f, err
}

// Receive keeps the file of a known release. What does not fit its description
// leaves nothing behind. Errors wrap ErrNone or ErrInput.
func (s *Shelf) Receive(ctx context.Context, sum string, file io.Reader) error {
	k, err := s.Known(ctx, sum)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return fmt.Errorf("release %.12s: %w", sum, err)
	}
	temp, err := os.CreateTemp(s.dir, ".part-*")
	if err != nil {
		return fmt.Errorf("release %.12s: %w", sum, err)
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	if err := receive(temp, k.Release, file); err != nil {
		return fmt.Errorf("release %.12s: %w", sum, err)
	}
	return os.Rename(temp.Name(), s.path(sum))
}

func receive(temp *os.File, r api.Release, file io.Reader) error {
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(temp, h), io.LimitReader(file, r.Size+1))
	if err != nil {
		return err
	}
	if is := hex.EncodeToString(h.Sum(nil)); n != r.Size || is != r.Sum {
		return fmt.Errorf("%w: %d bytes with sha256 %.12s came, want %d", ErrInput, n, is, r.Size)
	}
	return temp.Sync()
}
