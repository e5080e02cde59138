package kinds

import (
	"context"

	"github.com/g8os/g8os/core/services/order"
	"github.com/g8os/g8os/core/services/runtime"
)

// broken stands for a runtime that this machine does not have.
type broken struct{ err error }

var _ runtime.Runtime = broken{}

func (b broken) Start(context.Context) (runtime.Instance, error) { return nil, b.err }
func (b broken) Adopt() (runtime.Instance, error)                { return nil, b.err }
func (b broken) LastExit() order.Exit                            { return order.Exit{Why: b.err.Error()} }
func (b broken) Logs(context.Context, int, bool, func([]byte) error) error {
	return b.err
}
