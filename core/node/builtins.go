package node

import (
	"context"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/managed"
)

// builtins are what jobs can ask g8os_core itself for.
func (n *Node) builtins() map[api.Builtin]managed.Builtin {
	return map[api.Builtin]managed.Builtin{
		api.BuiltinPing:  managed.JSON(ping),
		api.BuiltinFacts: managed.JSON(n.facts),
		api.BuiltinTop:   n.top,
	}
}

type pong struct {
	Pong bool `json:"pong"`
}

func ping(context.Context, struct{}) (pong, error) { return pong{Pong: true}, nil }
