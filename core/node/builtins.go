package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/managed"
)

// builtins are what jobs can ask g8os_core itself for.
func (n *Node) builtins() map[api.Builtin]managed.Builtin {
	return map[api.Builtin]managed.Builtin{
		api.BuiltinPing:  managed.JSON(ping),
		api.BuiltinFacts: managed.JSON(n.facts),
		api.BuiltinTop:   n.top,

		api.BuiltinServices: managed.JSON(n.apps.list),
		api.BuiltinService:  managed.JSON(n.apps.do),
		api.BuiltinLogs:     n.apps.logs,
	}
}

// builtin does one for somebody on this machine.
func (n *Node) builtin(ctx context.Context, name api.Builtin, args json.RawMessage, out io.Writer) (int, error) {
	do := n.builtins()[name]
	if do == nil {
		return 127, fmt.Errorf("builtin %q: this g8os_core has none of that name", name)
	}
	return do(ctx, args, out)
}

type pong struct {
	Pong bool `json:"pong"`
}

func ping(context.Context, struct{}) (pong, error) { return pong{Pong: true}, nil }
