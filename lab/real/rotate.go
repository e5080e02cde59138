package real

import (
	"context"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/grid"
)

// Rotate implements grid.Grid.
func (g *Grid) Rotate(ctx context.Context, kind string) error {
	_, err := g.lab.ACs()[0].Rotate(ctx, api.RotateKind(kind))
	return err
}

// Rotating implements grid.Grid.
func (g *Grid) Rotating(ctx context.Context, kind string) (int, error) {
	all, err := g.lab.ACs()[0].Rotations(ctx)
	if err != nil {
		return 0, err
	}
	return grid.OldKeys(all, kind)
}
