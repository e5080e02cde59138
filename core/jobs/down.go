package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/g8os/g8os/core/jobs/run"
)

// errDown is why a job was stopped that nobody cancelled.
var errDown = errors.New("this machine is going down")

// End stops every job, for a machine that goes down: nothing is begun any more.
// It returns when all have ended, that is on the disk, and an AC that has a
// session has heard of it; or with how many there are left when ctx ends.
func (j *Jobs) End(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.changed.Broadcast()
	})()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ending = true
	for _, t := range j.tasks {
		t.cancel()
	}
	for ctx.Err() == nil && !j.leaving && (len(j.tasks) > 0 || j.attached && len(j.records) > 0) {
		j.changed.Wait()
	}
	if left := len(j.tasks); left > 0 {
		return fmt.Errorf("end the jobs: %d still run: %w", left, ctx.Err())
	}
	return nil
}

// down says what stopped a job when it was not the AC.
func (j *Jobs) down(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ending && errors.Is(err, run.ErrCancelled) {
		return fmt.Errorf("%w: %w", run.ErrCancelled, errDown)
	}
	return err
}
