// Package e2e holds what a stranger would do with what we ship: install the
// Debian packages on a clean Debian, write the image to a stick and boot it,
// found a grid, let nodes in, log in, run commands, upgrade, remove.
//
// Every party is a machine of its own (QEMU), so nothing of the machine that
// runs the suite is touched: no interface, no service, no package. The suite
// runs only built artefacts, speaks to them as an operator does, and imports
// nothing of ours; ci/rules enforces that. It is not where behaviour under
// faults is proved; that is scenarios.
package e2e
