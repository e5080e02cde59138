package scenarios

import (
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

// stepTimeout is how long one thing is waited for that a spec demands: far longer
// than it takes, and shorter than a spec may, so that the spec fails with what did
// not come. What is left of a spec's time nobody can ask: its context has no
// deadline, it is cancelled by Ginkgo, and that ends any waiting too.
func stepTimeout() time.Duration {
	if onMachines() {
		return 5 * time.Minute
	}
	return time.Minute
}

// timeNow is time.Now as something to ask again.
func timeNow() time.Time { return time.Now() }
