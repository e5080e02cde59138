package scenarios

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
)

// ok fails the spec with the error as it reads, after what it was about.
func ok(err error, about ...any) {
	GinkgoHelper()
	if err == nil {
		return
	}
	what := ""
	if len(about) > 0 {
		what = fmt.Sprintf(fmt.Sprint(about[0]), about[1:]...) + ": "
	}
	Fail(what + err.Error())
}

// contextTimeout is what is left of a spec's time, so that waiting ends with
// the spec and not with Gomega's second.
func contextTimeout(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	if onMachines() {
		return 5 * time.Minute
	}
	return time.Minute
}

// timeNow is time.Now as something to ask again.
func timeNow() time.Time { return time.Now() }
