package template

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/g8os/g8os/internal/qmp"
)

// write writes the state of all but the memory of a machine that stands still.
func (t Template) write(ctx context.Context, mon *qmp.Conn) error {
	f, err := os.Create(t.State())
	if err != nil {
		return err
	}
	defer f.Close()
	if err := IgnoreShared(ctx, mon); err != nil {
		return err
	}
	if err := mon.Pass(ctx, "state", f); err != nil {
		return err
	}
	if err := mon.Run(ctx, "migrate", map[string]any{"uri": "fd:state"}, nil); err != nil {
		return err
	}
	if err := Migrated(ctx, mon); err != nil {
		return err
	}
	// QEMU answers and ends, or ends: both are what was asked for.
	if err := mon.Run(ctx, "quit", nil, nil); err != nil && !errors.Is(err, qmp.ErrClosed) {
		return err
	}
	return nil
}

// IgnoreShared leaves memory that lies in a file out of a migration.
func IgnoreShared(ctx context.Context, mon *qmp.Conn) error {
	return mon.Run(ctx, "migrate-set-capabilities", map[string]any{"capabilities": []map[string]any{
		{"capability": "x-ignore-shared", "state": true},
	}}, nil)
}

// Migrated waits for the end of a migration, in either direction.
func Migrated(ctx context.Context, mon *qmp.Conn) error {
	for {
		var m struct {
			Status string `json:"status"`
			Error  string `json:"error-desc"`
		}
		if err := mon.Run(ctx, "query-migrate", nil, &m); err != nil {
			return err
		}
		switch m.Status {
		case "completed":
			return nil
		case "failed", "cancelled":
			return fmt.Errorf("migration %s: %s", m.Status, m.Error)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("migration %s: %w", m.Status, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// seal writes what the template says of itself, once its bytes are on the disk.
func (t Template) seal() error {
	files := []string{t.Memory(), t.State()}
	if t.HasFrozen() {
		files = append(files, t.Frozen())
	}
	for _, path := range files {
		if err := flush(path); err != nil {
			return err
		}
	}
	m, err := t.describe()
	if err != nil {
		return err
	}
	m.Made = time.Now().UTC().Truncate(time.Second)
	text, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(t.meta(), append(text, '\n'), 0o644)
}

func flush(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
