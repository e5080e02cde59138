package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/g8os/g8os/lab/record"
)

// DownOptions say how a lab is to be taken down.
type DownOptions struct {
	// KeepLogs is a directory to copy the logs to first; empty: they go too.
	KeepLogs string
}

// Down takes away everything of a lab: every process, namespace, cable, mount,
// listener and file, whatever state it is in and whoever built it. A lab that
// is not there is no error.
func Down(ctx context.Context, name string, o DownOptions) error {
	if err := record.CheckName(name); err != nil {
		return err
	}
	r := record.Of(name)
	if !r.Exists() {
		return removeContext(name)
	}
	if err := r.Lock(); err != nil {
		return err
	}
	defer r.Unlock()
	events, err := r.Journal()
	if err != nil {
		return err
	}
	// The inits are all there is to end: each takes its machine's processes,
	// mounts and network namespace along, and those the cables and ports.
	if err := record.KillAll(ctx, record.Processes(events)); err != nil {
		return fmt.Errorf("take down lab %s: %w", name, err)
	}
	if o.KeepLogs != "" {
		if err := keepLogs(r, o.KeepLogs); err != nil {
			return err
		}
	}
	if err := removeContext(name); err != nil {
		return err
	}
	return r.Remove()
}

// keepLogs copies logs and journal; a file that is there already is an error.
func keepLogs(r *record.Record, to string) error {
	if err := os.CopyFS(to, os.DirFS(filepath.Join(r.Run, "logs"))); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("keep logs of lab %s in %s: %w; nothing of its files was removed", r.Name, to, err)
	}
	journal, err := os.ReadFile(filepath.Join(r.Run, "journal.jsonl"))
	if err != nil {
		return nil // a lab that broke before its first machine has none
	}
	return os.WriteFile(filepath.Join(to, "journal.jsonl"), journal, 0o644)
}
