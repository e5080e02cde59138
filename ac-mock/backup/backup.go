// Package backup writes what the store of a grid holds into one file, and
// fills an empty store from it.
//
//	G8OS backup 1\n          format
//	{"grid": …}\n            Header, one line of JSON
//	length, envelope         pages of keys and values, each sealed under the master key,
//	…                        bound to the header and to its place
//	length, envelope         the last page says how many keys there were
//
// It promises that a file shows nothing but its header without the master key;
// that one that is cut, changed or put together from two is refused before
// anything is written; that it is of one moment; and that only an empty store is
// filled, wholly or with a mark that it is not. It has no files outside of the
// store in it: master key and root key are copied by hand, and kept elsewhere.
package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/api"
)

const (
	magic    = "G8OS backup "
	format   = 1
	pageSize = 256 << 10 // bytes of keys and values in a page, about
	maxPage  = 4 << 20
	maxHead  = 4 << 10
)

// Unfinished is the key that stands in a store while it is being filled.
const Unfinished = "restore/unfinished"

// ErrPartial is wrapped by Whole: the store is what a broken restore has left.
var ErrPartial = errors.New("a restore of the store was broken off")

// Errors of a restore. All are wrapped, and nothing was written.
var (
	ErrDamaged  = errors.New("the backup is damaged")
	ErrVersion  = errors.New("the backup is of another version")
	ErrNotEmpty = errors.New("the store is not empty")
)

// Header is what can be read without a key.
type Header struct {
	Grid     string    `json:"grid"`
	Key      string    `json:"key"` // id of the master key that it is sealed under
	Made     time.Time `json:"made"`
	Version  string    `json:"version"` // of the AC that made it
	Revision int64     `json:"revision"`
	Salt     []byte    `json:"salt"`
}

// Sealer seals pages and opens them (ac-mock/seal).
type Sealer interface {
	Seal(recordKey string, generation uint64, secret api.Secret) ([]byte, error)
	Open(recordKey string, generation uint64, envelope []byte) (api.Secret, error)
}

type pair struct {
	Key   string `json:"k"`
	Value []byte `json:"v"`
}

// page is what one envelope holds.
type page struct {
	Pairs []pair `json:"pairs,omitempty"`
	Last  bool   `json:"last,omitempty"`
	Keys  int    `json:"keys,omitempty"` // in all pages; with Last
}

// Write writes a backup; skip leaves keys out. It returns how many keys are in it.
func Write(ctx context.Context, w io.Writer, s store.Store, seal Sealer, h Header, skip func(key string) bool) (keys int, err error) {
	if h.Revision, err = s.Revision(ctx); err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	h.Salt = make([]byte, 16)
	_, _ = rand.Read(h.Salt) // never fails
	line, err := json.Marshal(h)
	if err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	head := fmt.Appendf(nil, "%s%d\n%s\n", magic, format, line)
	if _, err := w.Write(head); err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	out := &pages{w: w, seal: seal, record: recordOf(head)}
	if err := out.all(ctx, s, h.Revision, skip); err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	return out.keys, nil
}

// recordOf binds pages to a header.
func recordOf(head []byte) string { return fmt.Sprintf("backup/%x", sha256.Sum256(head)) }

// pages writes sealed pages.
type pages struct {
	w      io.Writer
	seal   Sealer
	record string
	n      uint64
	keys   int
	now    page
	size   int
}

func (p *pages) all(ctx context.Context, s store.Store, revision int64, skip func(string) bool) error {
	o := store.ListOptions{Revision: revision}
	for {
		list, err := s.List(ctx, "", o)
		if err != nil {
			return err
		}
		for _, kv := range list.KVs {
			if skip(kv.Key) {
				continue
			}
			if err := p.add(kv); err != nil {
				return err
			}
		}
		if o.From = list.Next; o.From == "" {
			break
		}
	}
	p.now.Last, p.now.Keys = true, p.keys
	return p.flush()
}

func (p *pages) add(kv store.KV) error {
	p.keys++
	p.now.Pairs = append(p.now.Pairs, pair{kv.Key, kv.Value})
	if p.size += len(kv.Key) + len(kv.Value); p.size < pageSize {
		return nil
	}
	return p.flush()
}

func (p *pages) flush() error {
	text, err := json.Marshal(p.now)
	if err != nil {
		return err
	}
	envelope, err := p.seal.Seal(p.record, p.n, text)
	if err != nil {
		return err
	}
	p.n, p.now, p.size = p.n+1, page{}, 0
	if _, err := p.w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(envelope)))); err != nil {
		return err
	}
	_, err = p.w.Write(envelope)
	return err
}

// ReadHeader reads what a backup says of itself; head is the bytes that it is
// in. Nothing of it is proved before the pages are.
func ReadHeader(r *bufio.Reader) (h Header, head []byte, err error) {
	first, err := r.ReadString('\n')
	var n int
	if _, scanned := fmt.Sscanf(first, magic+"%d\n", &n); err != nil || scanned != nil {
		return h, nil, fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	}
	if n != format {
		return h, nil, fmt.Errorf("%w: its format is %d, this program knows %d", ErrVersion, n, format)
	}
	line, err := r.ReadBytes('\n')
	if err != nil || len(line) > maxHead || json.Unmarshal(line, &h) != nil {
		return h, nil, fmt.Errorf("%w: its header cannot be read", ErrDamaged)
	}
	return h, append([]byte(first), line...), nil
}

// read calls f for each page of a backup, in order.
func read(r io.Reader, seal Sealer, f func(page) error) (Header, error) {
	in := bufio.NewReader(r)
	h, head, err := ReadHeader(in)
	if err != nil {
		return h, err
	}
	record, keys := recordOf(head), 0
	for n := uint64(0); ; n++ {
		p, err := readPage(in, seal, record, n)
		if err != nil {
			return h, err
		}
		keys += len(p.Pairs)
		if p.Last && p.Keys != keys {
			return h, fmt.Errorf("%w: it has %d keys and should have %d", ErrDamaged, keys, p.Keys)
		}
		if err := f(p); err != nil || p.Last {
			return h, err
		}
	}
}

func readPage(in *bufio.Reader, seal Sealer, record string, n uint64) (p page, err error) {
	var size uint32
	if err := binary.Read(in, binary.BigEndian, &size); err != nil || size > maxPage {
		return p, fmt.Errorf("%w: it ends in page %d, or is no backup there", ErrDamaged, n)
	}
	envelope := make([]byte, size)
	if _, err := io.ReadFull(in, envelope); err != nil {
		return p, fmt.Errorf("%w: it ends in page %d", ErrDamaged, n)
	}
	text, err := seal.Open(record, n, envelope)
	if err != nil {
		return p, fmt.Errorf("%w: page %d: %w", ErrDamaged, n, err)
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&p); err != nil {
		return p, fmt.Errorf("%w: page %d: %w", ErrDamaged, n, err)
	}
	return p, nil
}
