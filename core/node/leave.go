package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/pid1/power"
)

// ErrRestart is why Run returns when g8os_core is to be started again.
var ErrRestart = errors.New("g8os_core is to be started again")

// Down is why Run returns when the machine is to go: who has run the node ends
// what is left of it and then the machine.
type Down struct{ Kind power.Kind }

func (d Down) Error() string { return "the machine is to go down: " + string(d.Kind) }

// Power ends a machine.
type Power interface {
	// Can says why it cannot.
	Can(power.Kind) error
	// First has the machine end, which ends g8os_core in its turn; false: g8os_core
	// has to end first.
	First(power.Kind) (asked bool, err error)
}

// reason is why ctx ended, if it was one of ours.
func reason(ctx context.Context) error {
	cause := context.Cause(ctx)
	if down, ok := errors.AsType[Down](cause); ok {
		return down
	}
	if errors.Is(cause, ErrRestart) {
		return ErrRestart
	}
	return nil
}

// goDown is what jobs reboot and poweroff ask for: the answer is given first.
func (n *Node) goDown(kind power.Kind) func(context.Context, struct{}) (api.GoingDown, func(), error) {
	return func(context.Context, struct{}) (api.GoingDown, func(), error) {
		if n.opt.Power == nil {
			return api.GoingDown{}, nil, errors.New("g8os_core was started without a way to end this machine")
		}
		if err := n.opt.Power.Can(kind); err != nil {
			return api.GoingDown{}, nil, err
		}
		boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		if err != nil {
			return api.GoingDown{}, nil, fmt.Errorf("which boot this is: %w", err)
		}
		return api.GoingDown{How: string(kind), BootID: strings.TrimSpace(string(boot))}, func() { n.down(kind) }, nil
	}
}

func (n *Node) down(kind power.Kind) {
	n.opt.Log.Warn("the AC has asked for the end of this machine", "how", string(kind))
	asked, err := n.opt.Power.First(kind)
	switch {
	case err != nil:
		n.opt.Log.Error("the machine stays up", "error", err)
	case !asked:
		if err := n.endAll(n.ctx); err != nil {
			n.opt.Log.Warn("the machine goes down all the same", "error", err)
		}
		n.leave(Down{kind})
	}
}

// How long jobs, and then services, may take to end.
const (
	jobsEndWithin     = 8 * time.Second
	servicesEndWithin = 12 * time.Second
)

// endAll ends what runs here when the machine goes down: jobs, whose ends are
// kept and told while there is a session, then services in their order. The
// volume that both have files in is closed by who ends g8os_core.
func (n *Node) endAll(ctx context.Context) error {
	jobs, cancel := context.WithTimeout(ctx, jobsEndWithin)
	defer cancel()
	err1 := n.jobs.End(jobs)
	services, cancel := context.WithTimeout(ctx, servicesEndWithin)
	defer cancel()
	return errors.Join(err1, n.apps.run.Shutdown(services))
}
