package sim

import (
	"context"
	"fmt"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/grid"
)

// Rotate implements grid.Grid.
func (w *World) Rotate(_ context.Context, kind string) error {
	i, err := w.ac()
	if err != nil {
		return fmt.Errorf("rotate %s: %w", kind, err)
	}
	err = w.acs[i].Rotate(api.RotateKind(kind))
	w.changed()
	return err
}

// Rotating implements grid.Grid.
func (w *World) Rotating(_ context.Context, kind string) (int, error) {
	i, err := w.ac()
	if err != nil {
		return 0, fmt.Errorf("rotation of %s: %w", kind, err)
	}
	all, err := w.acs[i].Rotations()
	if err != nil {
		return 0, err
	}
	return grid.OldKeys(all, kind)
}
