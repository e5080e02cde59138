package node

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/g8os/g8os/core/boot"
	"github.com/g8os/g8os/core/layer"
)

// toolsMounted is there while the tools layer is mounted.
const toolsMounted = "/usr/share/g8os/tools.json"

// layerWaits is how long to wait after an attempt that failed; then the last for ever.
var layerWaits = []time.Duration{5 * time.Second, 30 * time.Second, 5 * time.Minute}

// fetchLayer brings the tools layer to the state disk, if the node has one and
// lacks the layer, as long as the session lasts. The next session goes on
// where this one has stopped.
func (n *Node) fetchLayer(p boot.Path, ended <-chan struct{}) {
	n.fetching.Lock() // the last session's attempt ends with it
	defer n.fetching.Unlock()
	_, err := os.Stat(toolsMounted)
	l, wanted := layer.Wanted(n.opt.Image, n.opt.Layers, err == nil)
	if !wanted {
		return
	}
	ctx, cancel := context.WithCancel(n.ctx)
	defer cancel()
	go func() {
		select {
		case <-ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	n.opt.Log.Info("tools layer: fetching it from the AC", "layer", l.Sum, "MiB", l.Size>>20, "to", n.opt.Layers)
	for try := 0; ctx.Err() == nil; try++ {
		path, err := n.fetchOnce(ctx, p, l)
		if err == nil {
			n.opt.Log.Info("tools layer: here", "file", path)
			return
		}
		if ctx.Err() != nil {
			return
		}
		wait := layerWaits[min(try, len(layerWaits)-1)]
		if errors.Is(err, layer.ErrNone) || errors.Is(err, layer.ErrRoom) {
			wait = layerWaits[len(layerWaits)-1]
		}
		n.opt.Log.Warn("tools layer: not yet", "error", err, "again_in", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (n *Node) fetchOnce(ctx context.Context, p boot.Path, l layer.Layer) (string, error) {
	c, err := n.keys.load()
	if err != nil {
		return "", err
	}
	conn, err := n.keys.connect(ctx, p, &c.Certificate)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return layer.Fetch(ctx, conn, l, n.opt.Layers)
}
