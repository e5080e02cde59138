package pid1

import (
	"fmt"
	"strings"
)

// heard gets each line g8os_core writes, and so does the boot log. The kernel's
// log gets those that tell of a new phase: it is small, and a console should
// stay readable.
func (m *Machine) heard(line string) {
	fmt.Fprintln(m.with.daemon, line)
	if phase, ok := phaseLine(line); ok {
		m.Log.Info("node", "is", phase)
	}
}

// phaseLine returns what follows "msg=phase" in a line of g8os_core's log.
func phaseLine(line string) (string, bool) {
	_, rest, ok := strings.Cut(line, " msg=phase ")
	if !ok {
		return "", false
	}
	return strings.TrimPrefix(rest, "phase="), true
}
