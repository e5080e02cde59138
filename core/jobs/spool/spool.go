// Package spool keeps on the node's disk what an AC does not have yet: which
// jobs have begun, how they ended, events, and what jobs said.
//
// It promises that what Keep and KeepEvent returned for is there after a power
// cut, whoever else writes at the time (one commit takes all that wait); that
// output is bounded, the oldest is dropped first, and how much is counted; that
// output survives a killed core, and a power cut as far as the kernel had
// written it; that nothing on the disk can be read without the key, which lies
// in the private volume; that a spool which cannot be read is set aside and
// said, and a disk that is full or read-only is said too, while the newest
// output stays in memory, bounded, and records wait for the disk. What is newest is
// remembered beside the disk, so that who sends it need not open it again. It
// decides nothing: core/jobs/ledger does.
//
//	DIR/records.db     begun, results, events: bbolt, sealed records
//	DIR/out/JOB/N      output of a job from piece N on: sealed pieces, appended
//	DIR/out/JOB/spare  a file that the AC has all of, for the next N
package spool

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/g8os/g8os/core/durable"
)

// KeySize is the length of the key in bytes.
const KeySize = chacha20poly1305.KeySize

// Limits of what is kept. Zero fields are those of DefaultLimits.
type Limits struct {
	Job     int64 // output of one job, in bytes on the disk
	All     int64 // output of all jobs
	Segment int64 // of one file
	Memory  int64 // output of one job that the disk does not take; eight times that of all
	Spare   int64 // how many percent of the disk stay free of output
}

// DefaultLimits are for a node of any size.
var DefaultLimits = Limits{Job: 16 << 20, All: 256 << 20, Segment: 1 << 20, Memory: 1 << 20, Spare: 10}

// Options of a Spool. Without a Dir it is in memory, and bounded by
// Limits.Memory.
type Options struct {
	Dir    string
	Key    []byte
	Limits Limits
	Log    *slog.Logger
}

// Spool is one. Its methods may be called concurrently.
type Spool struct {
	opt  Options
	aead cipher.AEAD
	*records

	mu     sync.Mutex
	jobs   map[string]*output
	order  []*segment // of all jobs, oldest first; some are gone already
	total  int64      // bytes in segments
	memory int64      // bytes in tails
	recent int64      // bytes that are remembered
}

// Open opens the spool in a folder, and makes it where there is none. What
// could not be read is set aside, and Kept.Problems says so.
func Open(o Options) (*Spool, Kept, error) {
	o.Limits = o.Limits.filled()
	s := &Spool{opt: o, jobs: map[string]*output{}}
	if o.Dir == "" {
		s.records = newRecords(nil, "")
		return s, Kept{}, nil
	}
	aead, err := chacha20poly1305.NewX(o.Key)
	if err != nil {
		return nil, Kept{}, fmt.Errorf("spool %s: %w", o.Dir, err)
	}
	s.aead = aead
	s.records = newRecords(aead, filepath.Join(o.Dir, "records.db"))
	var kept Kept
	if err = s.load(&kept); errors.Is(err, errDamaged) {
		kept = Kept{Problems: []string{s.setAside(err)}}
		err = s.load(&kept)
	}
	if err != nil { // the disk takes nothing now; records are tried again
		kept.Problems = append(kept.Problems, err.Error())
		s.fail(err)
	}
	s.start()
	return s, kept, nil
}

func (s *Spool) load(kept *Kept) error {
	if err := os.MkdirAll(filepath.Join(s.opt.Dir, "out"), 0o700); err != nil {
		return fmt.Errorf("spool %s: %w", s.opt.Dir, err)
	}
	if err := durable.OS.SyncDir(filepath.Dir(s.opt.Dir)); err != nil {
		return fmt.Errorf("spool %s: %w", s.opt.Dir, err)
	}
	if err := s.records.open(kept); err != nil {
		return fmt.Errorf("spool %s: %w", s.opt.Dir, err)
	}
	s.loadOutput(kept)
	return nil
}

// setAside moves a damaged spool out of the way, and says so. One that was set
// aside before is removed.
func (s *Spool) setAside(why error) string {
	s.records.shut()
	s.jobs, s.order, s.total = map[string]*output{}, nil, 0
	aside := s.opt.Dir + ".damaged"
	err := os.RemoveAll(aside)
	if err == nil {
		err = os.Rename(s.opt.Dir, aside)
	}
	if err != nil {
		err = errors.Join(err, os.RemoveAll(s.opt.Dir))
		return fmt.Sprintf("the spool of jobs was damaged (%v) and is lost: it could not be set aside: %v", why, err)
	}
	return fmt.Sprintf("the spool of jobs was damaged (%v): it lies in %s, and a new one was begun; jobs of before it are not known any more", why, aside)
}

func (l Limits) filled() Limits {
	for _, f := range []struct{ is, otherwise *int64 }{
		{&l.Job, &DefaultLimits.Job}, {&l.All, &DefaultLimits.All}, {&l.Segment, &DefaultLimits.Segment},
		{&l.Memory, &DefaultLimits.Memory}, {&l.Spare, &DefaultLimits.Spare},
	} {
		if *f.is == 0 {
			*f.is = *f.otherwise
		}
	}
	return l
}

// Key reads the key at path, which is in the private volume. make has it made
// where there is none; otherwise that is fs.ErrNotExist.
func Key(path string, make bool) ([]byte, error) {
	key, err := os.ReadFile(path)
	switch {
	case err == nil && len(key) == KeySize:
		return key, nil
	case err == nil:
		err = fmt.Errorf("%d bytes, not %d", len(key), KeySize)
	case !errors.Is(err, fs.ErrNotExist) || !make:
		return nil, fmt.Errorf("key of the spool: %w", err)
	}
	if !make {
		return nil, fmt.Errorf("key of the spool %s: %w", path, err)
	}
	key = freshKey()
	if err := durable.Write(durable.OS, path, key, 0o600); err != nil {
		return nil, fmt.Errorf("key of the spool: %w", err)
	}
	return key, nil
}

func freshKey() []byte {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	return key
}

// name is what a job is called on the disk: its id may say what it is for.
func (s *Spool) name(id string) string {
	mac := hmac.New(sha256.New, s.opt.Key)
	mac.Write([]byte(id))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// seal appends text, sealed, to to.
func seal(aead cipher.AEAD, to, text, about []byte) []byte {
	n := len(to)
	to = append(to, make([]byte, chacha20poly1305.NonceSizeX)...)
	_, _ = rand.Read(to[n:]) // never fails (crypto/rand)
	return aead.Seal(to, to[n:], text, about)
}

// unseal appends what seal sealed to to.
func unseal(aead cipher.AEAD, to, sealed, about []byte) ([]byte, error) {
	if len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, fmt.Errorf("a sealed record of %d bytes", len(sealed))
	}
	return aead.Open(to, sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:], about)
}
