//go:build planted

package planted

import (
	"time"

	"github.com/g8os/g8os/internal/planted"
)

// directed is a schedule that ought to show a bug.
type directed struct {
	bug      planted.Bug
	schedule string
	early    bool          // faults come while nodes boot for the first time
	jobs     time.Duration // between two of them; 0: none
}

// all has a schedule for each bug. Each passes where the bug is not.
var all = []directed{
	// The address of a node without power is taken: it must ask when it is back.
	{bug: planted.NoProbe, schedule: `
		1s power on=office-1 for=10s
		2s squatter on=office address=192.168.7.10 for=1m`},
	{bug: planted.NoDefence, schedule: `
		1s squatter on=office address=192.168.7.10 for=1m`},
	// Longer than a lease (see plan).
	{bug: planted.LeaseKept, schedule: `
		1s dhcp-silent on=dhcp for=90s`},
	{bug: planted.FallbackKept, schedule: `
		1s dhcp-silent on=dhcp for=30s
		2s power on=dhcp-1 for=5s`},
	{bug: planted.AnyCA, schedule: `
		1s stranger on=isolated for=30s
		2s power on=isolated-1 for=5s`},
	// The AC takes 3 s for each answer to a claim: the power goes between
	// that to the first one and that to the confirmation.
	{bug: planted.SlotsLate, early: true, schedule: `
		0s slow nodes=office-1 for=30s
		5s power on=office-1 for=5s`},
	{bug: planted.OpenUnmounted, schedule: `
		1s power on=office-1 for=5s`},
	// What nodes say goes nowhere, until they give their sessions up; of what has
	// ended meanwhile the AC asks again.
	{bug: planted.ResultsOnce, jobs: 2 * time.Second, schedule: `
		10s ac-pause for=20s`},
	{bug: planted.JobForgotten, jobs: 2 * time.Second, schedule: `
		10s ac-pause for=20s`},
	{bug: planted.MACAlone, schedule: `
		1s impostor on=dhcp-1 to=office-1`},
	{bug: planted.CertificateForAnyone, schedule: `
		1s impostor on=dhcp-1 to=office-1`},
	{bug: planted.PendingServed, schedule: `
		1s clone on=office-1 for=1m`},
	// The copy was on while the original was off: only the counter can tell.
	{bug: planted.CounterUnchecked, schedule: `
		1s power on=office-1 for=30s
		2s clone on=office-1 for=20s`},
}
