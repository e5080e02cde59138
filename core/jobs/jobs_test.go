package jobs

import (
	"log/slog"
	"testing"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/jobs/spool"
)

var (
	discard = slog.New(slog.DiscardHandler)
	testKey = make([]byte, spool.KeySize)
)

// opened returns Jobs that are open, and ends them when the test does.
func opened(t *testing.T, o Options) *Jobs {
	t.Helper()
	if o.RunDir == "" {
		o.RunDir = t.TempDir()
	}
	if o.Log == nil {
		o.Log = discard
	}
	j := New(o)
	if err := j.Open(testKey); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.CancelAll)
	return j
}

// take returns the next frame that is no started one.
func take(j *Jobs, session int) (api.Frame, bool) {
	for {
		f, ok := j.Take(session, nil)
		if !ok || f.Type != api.FrameStarted {
			return f, ok
		}
	}
}
