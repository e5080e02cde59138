package scenarios

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// Fidelities, as labels: ginkgo --label-filter netns.
var netns = Label("netns")

// patience is how long a spec may take; the node's own deadlines are shorter.
const patience = SpecTimeout(3 * time.Minute)

func TestScenarios(t *testing.T) {
	RegisterFailHandler(Fail)
	suite, reporter := GinkgoConfiguration()
	suite.FlakeAttempts = 0 // a flake is a finding
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
