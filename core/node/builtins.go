package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/jobs"
	"github.com/g8os/g8os/core/pid1/power"
)

// builtins are what jobs can ask g8os_core itself for.
func (n *Node) builtins() map[api.Builtin]jobs.Builtin {
	return map[api.Builtin]jobs.Builtin{
		api.BuiltinPing:  jobs.JSON(ping),
		api.BuiltinFacts: jobs.JSON(n.facts),
		api.BuiltinTop:   n.top,

		api.BuiltinServices: jobs.JSON(n.apps.list),
		api.BuiltinService:  jobs.JSON(n.apps.do),
		api.BuiltinLogs:     n.apps.logs,

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
