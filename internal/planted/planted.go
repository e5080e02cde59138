// Package planted puts known bugs into the code, one at a time, so that the
// testbed can show that it finds them (lab/planted).
//
// It promises that a build without the tag "planted" has none of it: Is is a
// constant false there, and the compiler leaves out what depends on it. A build
// with the tag has the bug that the variable G8OS_PLANTED names when it starts,
// or none. It is not a way to switch features.
package planted

// Bug is the name of one.
type Bug string

// Variable is the environment variable that names the bug.
const Variable = "G8OS_PLANTED"

// The bugs. Each breaks one promise, at the place where it is kept.
const (
	NoProbe              Bug = "no-probe"               // core/network/conflict: an address is taken without asking for it
	NoDefence            Bug = "no-defence"             // core/network/conflict: who uses our address is not heard
	LeaseKept            Bug = "lease-kept"             // core/network/lease: a lease that is over stays in use
	FallbackKept         Bug = "fallback-kept"          // core/boot: a node on a lesser way looks for no better one
	AnyCA                Bug = "any-ca"                 // core/find: whoever answers is taken for an AC
	SlotsLate            Bug = "slots-late"             // core/unlock: the key slots are saved when the AC was told that they are in use
	SlotToldEarly        Bug = "slot-told-early"        // core/unlock: the AC hears that the new slot is alone before it is on the disk
	OpenUnmounted        Bug = "open-unmounted"         // core/unlock: a volume that is not mounted is taken for open
	ResultsOnce          Bug = "results-once"           // core/jobs/ledger: what was sent is not sent again
	JobForgotten         Bug = "job-forgotten"          // core/jobs/ledger: a job that has ended is not remembered
	MACAlone             Bug = "mac-alone"              // ac-mock/enrol: a MAC authorises
	PendingServed        Bug = "pending-served"         // ac-mock/enrol: a node that waits for approval is given its shares
	CertificateForAnyone Bug = "certificate-for-anyone" // ac-mock/enrol: whose certificate is asked for is not looked at
	CounterUnchecked     Bug = "counter-unchecked"      // ac-mock/enrol: a counter may go back
)
