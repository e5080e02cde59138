package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/local"
	"github.com/g8os/g8os/core/upgrade"
)

type restartCmd struct {
	Timeout time.Duration `help:"How long to wait for it to answer again." default:"30s"`
}

func (restartCmd) Help() string {
	return `The daemon executes itself again in place: it keeps its process id, so its supervisor notices
nothing; sshd, the volume, interfaces, services and jobs go on. Which version starts is what
an upgrade from the AC has decided; without one, that of the image or the package.`
}

// Run asks for it, and returns when the daemon answers again.
func (r *restartCmd) Run(ctx context.Context, c *cli, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	client := local.Client{Path: c.Socket}
	ended := make(chan struct{})
	watching := make(chan error, 1)
	go func() {
		defer close(ended)
		first := true
		_ = client.Watch(ctx, func(api.Status) bool {
			if first {
				first = false
				watching <- client.Restart(ctx)
			}
			return true
		})
	}()
	select {
	case err := <-watching:
		if err != nil {
			return err
		}
	case <-ended:
		_, err := client.Status(ctx) // says why
		return err
	}
	<-ended
	for {
		st, err := client.Status(ctx)
		if err == nil {
			_, err = fmt.Fprintf(out, "g8os_core %s is back, as process %d\n", st.Version, st.PID)
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not answer again: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// guardCmd is what an upgrade starts of the version before it.
type guardCmd struct {
	Charge string `arg:""`
}

// Run guards.
func (g *guardCmd) Run(ctx context.Context, log *slog.Logger) error {
	var c upgrade.Charge
	if err := json.Unmarshal([]byte(g.Charge), &c); err != nil {
		return usageError{err}
	}
	return c.Guard(ctx, log)
}
