package node

import (
	"context"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/jobs"
	"github.com/g8os/g8os/core/pid1/power"
)

// builtins are what jobs can ask g8os_core itself for.
func (n *Node) builtins() map[api.Builtin]jobs.Builtin {
	return map[api.Builtin]jobs.Builtin{
		api.BuiltinPing:     jobs.JSON(ping),
		api.BuiltinFacts:    jobs.JSON(n.facts),
		api.BuiltinTop:      n.top,
		api.BuiltinUpgrade:  jobs.JSON(n.upgrade),
		api.BuiltinReboot:   jobs.JSONThen(n.goDown(power.Reboot)),
		api.BuiltinPowerOff: jobs.JSONThen(n.goDown(power.PowerOff)),
	}
}

// after says how a builtin ended that g8os_core did not live to see the end of.
func after(b api.Builtin, rebooted bool) (code int, err error, known bool) {
	switch b {
	case api.BuiltinReboot, api.BuiltinPowerOff:
		return 0, nil, rebooted
	}
	return 0, nil, false
}

type pong struct {
	Pong bool `json:"pong"`
}

func ping(context.Context, struct{}) (pong, error) { return pong{Pong: true}, nil }
