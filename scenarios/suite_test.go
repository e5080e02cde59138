package scenarios

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/topology"
)

// Labels. Each spec says at which fidelities it runs, and why not at the others:
// G8LAB_FIDELITY picks one, netns unless it is given. Stories say it themselves.
var (
	netns = Label(topology.NetNS, "not sim: "+looksInside)
	vm    = Label(topology.Virtual, "not sim: "+looksInside)
	short = Label("short") // at fidelity vm: part of make test
	long  = Label("long")  // at fidelity netns: not part of make test, only of make scenarios
	tools = Label("tools") // needs the tools layer, which make image builds
	stick = Label("usb")   // needs the image of a stick, which make image builds

	// What is true of specs at one fidelity only.
	notNetns = Label("not netns: a namespace has no power - kernel or disk of its own")
	notVM    = Label("not vm: it is about the lab and not about a node - so nothing of it would differ")
)

const looksInside = "it looks at files - processes or packets of a real node; what of it is a decision has a story"

// fidelity of the nodes of this run: G8LAB_FIDELITY, or the one that the label
// filter names, or netns.
var fidelity = cmp.Or(os.Getenv("G8LAB_FIDELITY"), topology.NetNS)

// chosen is the fidelity that a label filter such as "sim && collision" names.
func chosen(filter string) string {
	for _, f := range []string{topology.Simulated, topology.Virtual} {
		if regexp.MustCompile(`\b` + f + `\b`).MatchString(filter) {
			return f
		}
	}
	return topology.NetNS
}

// onMachines tells whether nodes are machines.
func onMachines() bool { return fidelity == topology.Virtual }

// patience is how long a spec may take; the node's own deadlines are shorter.
// What is emulated takes its time.
var patience = patienceAt(fidelity)

func patienceAt(fidelity string) SpecTimeout {
	if fidelity == topology.Virtual {
		return SpecTimeout(8 * time.Minute)
	}
	return SpecTimeout(3 * time.Minute)
}

func TestScenarios(t *testing.T) {
	RegisterFailHandler(Fail)
	suite, reporter := GinkgoConfiguration()
	suite.FlakeAttempts = 0 // a flake is a finding
	if os.Getenv("G8LAB_FIDELITY") == "" {
		fidelity = chosen(suite.LabelFilter)
		patience = patienceAt(fidelity)
	}
	suite.LabelFilter = strings.TrimPrefix("("+suite.LabelFilter+") && "+fidelity, "() && ")
	RunSpecs(t, "scenarios", suite, reporter)
}

// labPrefix begins the name of every lab of a run: the process that runs the
// specs is in it, so that two runs stay apart.
func labPrefix() string { return fmt.Sprintf("s%d-", runner()) }

// runner is the process all parallel processes of this run have in common.
func runner() int {
	if suite, _ := GinkgoConfiguration(); suite.ParallelTotal > 1 {
		return os.Getppid()
	}
	return os.Getpid()
}

func labName() string { return labPrefix() + strconv.Itoa(GinkgoParallelProcess()) }

// Labs of a run that was killed are taken down by the next one.
var _ = SynchronizedBeforeSuite(func(ctx context.Context) {
	names, err := lab.List()
	ok(err)
	for _, name := range names {
		if abandoned(name) {
			ok(lab.Down(ctx, name, lab.DownOptions{}), "take down %s, which a killed run has left", name)
		}
	}
}, func() {})

// abandoned reports whether a lab belongs to a run of scenarios that has ended.
func abandoned(name string) bool {
	pid, _, ok := strings.Cut(strings.TrimPrefix(name, "s"), "-")
	if _, err := strconv.Atoi(pid); err != nil || !ok || !strings.HasPrefix(name, "s") {
		return false
	}
	_, err := os.Stat("/proc/" + pid)
	return os.IsNotExist(err)
}
