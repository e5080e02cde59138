package node

import (
	"fmt"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/services"
	"github.com/g8os/g8os/core/ssh"
)

// sshd is a service of g8os_core's own: it is seen and restarted as those are
// that are declared, and runs as long as the volume is open.

// supervisor is that of a service.
func (a *apps) supervisor(name string) *services.Supervisor {
	if own := a.node.sshd.Supervisor(); own != nil && name == ssh.Name {
		return own
	}
	return a.run
}

// ownStates are how services are that nobody declares.
func (a *apps) ownStates() []api.ServiceState {
	if own := a.node.sshd.Supervisor(); own != nil {
		return own.States()
	}
	return nil
}

// tell does what an operator asks for.
func (a *apps) tell(do api.ServiceDo, name string) error {
	if do == api.ServiceStop && name == ssh.Name {
		return fmt.Errorf("service %s: operators get in by it, so that it cannot be stopped; it can be restarted", name)
	}
	return a.supervisor(name).Do(do, name)
}
