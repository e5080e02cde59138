package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/monitor"
)

// alarmsToml says, in the private configuration, what is alarming.
const alarmsToml = "alarms.toml"

func (n *Node) newMonitor() *monitor.Monitor {
	return monitor.New(monitor.Options{
		Paths: n.measured(), Rules: filepath.Join(n.opt.Mount, alarmsToml), Off: n.off.Load, Count: n.count, Note: n.jobs.Note, Log: n.opt.Log,
	})
}

// measured is this machine as it is measured.
func (n *Node) measured() monitor.Paths {
	return monitor.Paths{State: n.opt.Dir, Cards: n.keys.cards}
}

// count adds what only the node knows to the figures of its machine.
func (n *Node) count(m *api.Metrics) {
	m.Jobs = n.jobs.Running()
	m.Services, m.Failed = n.apps.count()
}

// compareClock takes what time it is at the AC.
func (n *Node) compareClock(ac time.Time) {
	off := n.opt.Clock.Now().Sub(ac)
	n.off.Store(&off)
}

// cards are the names of the machine's own interfaces.
func (k *keys) cards() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var names []string
	for _, l := range k.links {
		if l.Card {
			names = append(names, l.Name)
		}
	}
	return names
}

func (n *Node) facts(ctx context.Context, _ struct{}) (api.Facts, error) {
	return monitor.FactsOf(ctx, n.measured())
}

// top answers with one api.Top, or with one a line until it is stopped.
func (n *Node) top(ctx context.Context, args json.RawMessage, out io.Writer) (int, error) {
	var a api.TopArgs
	if len(args) > 0 {
		if err := json.Unmarshal(args, &a); err != nil {
			return 2, fmt.Errorf("arguments: %w", err)
		}
	}
	enc := json.NewEncoder(out)
	err := monitor.Top(ctx, n.measured(), a, n.count, func(t api.Top) error { return enc.Encode(t) })
	switch {
	case errors.Is(err, monitor.ErrArgs):
		return 2, err
	case err != nil:
		return 1, err
	}
	return 0, nil
}
