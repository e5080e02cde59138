package keyslot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
)

// Name of the key-slot file in a node's folder; the previous copy beside it
// ends in durable.Previous.
const Name = "keyslots"

// Versions of the format; it grows when an older core must not read the file. It
// is written as the oldest that holds what is in it, so that a machine without
// TPM can go back to an older core.
const (
	versionPlain = 1
	versionTPM   = 2 // some slot needs the TPM
)

// ErrDamaged is wrapped when the content is not what was written.
var ErrDamaged = errors.New("key-slot file is damaged")

// ErrVersion is wrapped when a newer core wrote the file.
var ErrVersion = errors.New("key-slot file is of a newer version")

// envelope is the file: the checksum is over the bytes of Content as they
// stand there.
type envelope struct {
	Version  int             `json:"version"`
	Checksum string          `json:"checksum"` // SHA-256, hex
	Content  json.RawMessage `json:"content"`
}

type content struct {
	Node      api.NodeID `json:"node"`
	Grid      string     `json:"grid"`
	Confirmed uint32     `json:"confirmed"`
	Slots     []slot     `json:"slots"`
	Kept      []byte     `json:"kept,omitempty"`
}

// Load reads the file in dir. When it or its previous copy is damaged or gone
// and the other is good, damage says what was wrong: save the file to mend it,
// before the next damage hits the other one. Errors wrap
// fs.ErrNotExist (there never was a file), ErrDamaged or ErrVersion.
func Load(d durable.Disk, dir string) (f *File, damage, err error) {
	path := filepath.Join(dir, Name)
	f, damage, err = durable.Read(d, path, Decode)
	if err != nil {
		return nil, nil, fmt.Errorf("read key slots: %w", err)
	}
	if damage == nil {
		damage = usable(d, path+durable.Previous)
	}
	return f, damage, nil
}

// usable says what is wrong with one copy of the file.
func usable(d durable.Disk, path string) error {
	data, err := d.ReadFile(path)
	if err != nil {
		return err
	}
	if _, err := Decode(data); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Save writes the file in dir and keeps the previous good one.
func (f *File) Save(d durable.Disk, dir string) error {
	data, err := f.Encode()
	if err != nil {
		return fmt.Errorf("save key slots: %w", err)
	}
	good := func(b []byte) bool { _, err := Decode(b); return err == nil }
	if err := durable.WriteKeeping(d, filepath.Join(dir, Name), data, 0o600, good); err != nil {
		return fmt.Errorf("save key slots: %w", err)
	}
	return nil
}

// Encode returns the file as it stands on disk.
func (f *File) Encode() ([]byte, error) {
	inner, err := json.Marshal(content{f.node, f.grid, f.confirmed, f.slots, f.kept})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(inner)
	version := versionPlain
	if f.NeedsTPM() || f.kept != nil {
		version = versionTPM
	}
	return json.Marshal(envelope{version, hex.EncodeToString(sum[:]), inner})
}

// Decode is the inverse of Encode. Errors wrap ErrDamaged or ErrVersion.
func Decode(data []byte) (*File, error) {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if e.Version > versionTPM {
		return nil, fmt.Errorf("%w: %d, this core knows %d", ErrVersion, e.Version, versionTPM)
	}
	sum := sha256.Sum256(e.Content)
	if hex.EncodeToString(sum[:]) != e.Checksum {
		return nil, fmt.Errorf("%w: checksum is wrong", ErrDamaged)
	}
	var c content
	if err := json.Unmarshal(e.Content, &c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	f := &File{node: c.Node, grid: c.Grid, confirmed: c.Confirmed, slots: c.Slots, kept: c.Kept}
	return f, f.check()
}

// check refuses what no Encode of ours has written.
func (f *File) check() error {
	if len(f.Generations()) == 0 {
		return fmt.Errorf("%w: it has no slot of the AC", ErrDamaged)
	}
	for i, s := range f.slots {
		if len(s.DiskShare) != ShareSize || f.find(s.Kind, s.Generation) != i || !slices.Contains([]Kind{KindUnlock, KindRecovery}, s.Kind) {
			return fmt.Errorf("%w: slot %d makes no sense", ErrDamaged, i)
		}
		if s.TPM && (s.Kind != KindUnlock || f.kept == nil) {
			return fmt.Errorf("%w: slot %d needs a TPM, which makes no sense", ErrDamaged, i)
		}
	}
	return nil
}
