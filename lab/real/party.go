package real

import (
	"context"
	"errors"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/grid"
)

// party is the host that a fault adds to a segment.
type party struct {
	segment, name, address, kind string
	args                         []string
}

// host puts the host of a fault on its segment, or takes it off, and returns
// the actor on it; nil when it is off.
func (g *Grid) host(ctx context.Context, e entry, p party) (*lab.Actor, error) {
	name := e.ID + "-" + p.name
	_, gone := g.l.find(e.ID)
	is, err := g.lab.FindHost(name)
	if err != nil && !errors.Is(err, lab.ErrUnknown) {
		return nil, err
	}
	there := err == nil
	if gone != nil {
		if there {
			return nil, is.Remove(ctx)
		}
		return nil, nil
	}
	s, err := g.lab.FindSegment(p.segment)
	if err != nil {
		return nil, err
	}
	return s.AddActor(ctx, name, p.address, p.kind, p.args...)
}

func (g *Grid) squatter(ctx context.Context, e entry) (grid.Measured, error) {
	address := e.Fault.Address.String()
	a, err := g.host(ctx, e, party{segment: e.Fault.On, name: "squatter", kind: "squatter", args: []string{address}})
	if err != nil || a == nil {
		return grid.Measured{}, err
	}
	if err := a.Tell(ctx, "take", address); err != nil {
		return grid.Measured{}, err
	}
	return how("%s (%s) has taken and announced %s", a.Host.Name(), a.Host.MAC(), address), nil
}

// stranger is the one that is hardest to tell from an AC: it has an AC's name
// in its certificate, from a CA of its own.
func (g *Grid) stranger(ctx context.Context, e entry) (grid.Measured, error) {
	a, err := g.host(ctx, e, party{
		segment: e.Fault.On, name: "stranger", address: "10.254.254.254/24", kind: "stranger",
		args: []string{"--kind", "impostor", "--grid", g.lab.Name() + ".lab"},
	})
	if err != nil || a == nil {
		return grid.Measured{}, err
	}
	return how("%s (%s) listens on 10.254.254.254:8966", a.Host.Name(), a.Host.MAC()), nil
}

// foreign is a DHCP server of a network that does not exist (RFC 5737). The
// segment's own server answers later meanwhile.
func (g *Grid) foreign(ctx context.Context, e entry) (grid.Measured, error) {
	own, err := g.dhcp(ctx, e)
	if err != nil {
		return grid.Measured{}, err
	}
	a, err := g.host(ctx, e, party{
		segment: e.Fault.On, name: "foreign", address: "198.51.100.1/24", kind: "dhcp",
		args: []string{"--server", "198.51.100.1/24", "--pool", "198.51.100.10-250", "--lease", "2m", "--router", "198.51.100.1"},
	})
	if err != nil || a == nil {
		return grid.Measured{}, err
	}
	if err := a.Tell(ctx, "normal"); err != nil {
		return grid.Measured{}, err
	}
	return merge([]grid.Measured{how("%s (%s) serves 198.51.100.0/24", a.Host.Name(), a.Host.MAC()), own}), nil
}
