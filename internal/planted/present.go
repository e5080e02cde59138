//go:build planted

package planted

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// present is the bug of this process; empty: none.
var present Bug

func init() {
	name := Bug(os.Getenv(Variable))
	if err := Set(name); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", Variable, err)
		os.Exit(2)
	}
	if name != "" {
		fmt.Fprintf(os.Stderr, "%s: the bug %s is planted in this process\n", Variable, name)
	}
}

// Is says whether a bug is in this process.
func Is(b Bug) bool { return b == present }

// Set puts another bug in the place of the one there is; empty: none. It is
// for simulators and tests, between two runs of what has the bug.
func Set(b Bug) error {
	if b != "" && !slices.Contains(All(), b) {
		var names []string
		for _, known := range All() {
			names = append(names, string(known))
		}
		return fmt.Errorf("bug %q: there is no such bug to plant; there are %s", b, strings.Join(names, ", "))
	}
	present = b
	return nil
}

// All lists the bugs.
func All() []Bug {
	return []Bug{
		NoProbe, NoDefence, LeaseKept, FallbackKept, AnyCA, SlotsLate, SlotToldEarly, OpenUnmounted, ResultsOnce, JobForgotten,
		MACAlone, PendingServed, CertificateForAnyone, CounterUnchecked,
	}
}
