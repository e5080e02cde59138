package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/g8os/g8os/ac-mock/backup"
	"github.com/g8os/g8os/ac-mock/cluster"
	"github.com/g8os/g8os/ac-mock/config"
	"github.com/g8os/g8os/ac-mock/keyfile"
	"github.com/g8os/g8os/ac-mock/seal"
	"github.com/g8os/g8os/ac-mock/store"
	"github.com/g8os/g8os/core/version"
)

// keyFormat says in the store how what is in it is to be understood.
const (
	keyFormat = "format"
	format    = 1
)

// errNewer is wrapped when the store was written by a later program.
var errNewer = errors.New("the data is of a newer version")

// errMasterFirst is wrapped when a restore lacks the key of the backup.
var errMasterFirst = errors.New("a backup is opened with the master key of its grid")

// understood refuses a store that this program would spoil, and marks a new one.
func understood(ctx context.Context, s store.Store) error {
	if err := backup.Whole(ctx, s); err != nil {
		return err
	}
	kv, err := s.Get(ctx, keyFormat)
	if errors.Is(err, store.ErrNotFound) {
		_, err = s.Txn(ctx, store.Txn{If: []store.Cond{{Key: keyFormat}}, Then: []store.Op{store.Put(keyFormat, strconv.AppendInt(nil, format, 10))}})
		if errors.Is(err, store.ErrConflict) {
			return understood(ctx, s) // another AC was faster
		}
	}
	if err != nil || kv.Key == "" {
		return err
	}
	if n, err := strconv.Atoi(string(kv.Value)); err != nil || n > format {
		return fmt.Errorf("%w: its format is %q, this program knows up to %d", errNewer, kv.Value, format)
	}
	return nil
}

// backup writes the store into a file, sealed.
func (ac *controller) backup(ctx context.Context, w io.Writer) (keys int, err error) {
	h := backup.Header{Grid: ac.cfg.Grid, Key: ac.seal.ID().String(), Made: time.Now().UTC(), Version: version.Version()}
	return backup.Write(ctx, w, ac.store, ac.seal, h, cluster.Volatile)
}

type restoreCmd struct {
	overrides

	File string `arg:"" help:"A file that g8os backup has made."`
}

// Run fills this AC's empty store. The AC must not run; the master key has to
// be there.
func (c *restoreCmd) Run(i *invocation) error {
	cfg, err := i.load(c.overrides)
	if err != nil {
		return err
	}
	f, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer f.Close()
	h, keys, err := restore(i, cfg, f)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(i.stdout, "grid %s is restored as it was at %s: %d keys\nStart g8os_ac; other ACs join with empty data (g8os ac add).\n",
		h.Grid, h.Made.Format(time.RFC3339), keys)
	return err
}

func restore(i *invocation, cfg config.Config, f io.ReadSeeker) (h backup.Header, keys int, err error) {
	if err := keyfile.Outside(cfg.MasterKey, cfg.DataDir); err != nil {
		return h, 0, err
	}
	if _, err := keyfile.Read(cfg.MasterKey); errors.Is(err, fs.ErrNotExist) {
		return h, 0, fmt.Errorf("restore: %w: %w", errMasterFirst, err)
	}
	sealer, _, err := seal.Load(seal.Options{File: cfg.MasterKey, DataDir: cfg.EtcdDir()})
	if err != nil {
		return h, 0, err
	}
	// One of several members would wait for the others before it could tell.
	if _, err := os.Stat(filepath.Join(cfg.EtcdDir(), "etcd", "member")); err == nil && len(cfg.Etcd.Endpoints) == 0 {
		return h, 0, fmt.Errorf("restore: %w: there is data in %s", backup.ErrNotEmpty, cfg.EtcdDir())
	}
	cfg.Etcd.PeerURL, cfg.Etcd.Join = "", nil // alone until it is started
	s, err := openStore(i.ctx, cfg, logger(cfg, i.stderr))
	if err != nil {
		return h, 0, err
	}
	h, keys, err = backup.Restore(i.ctx, f, s, sealer, cfg.Grid)
	return h, keys, errors.Join(err, s.Close())
}
