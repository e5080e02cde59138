package main

import (
	"context"
	"fmt"
	"time"

	"github.com/g8os/g8os/lab/run/record"
	"github.com/g8os/g8os/lab/run/simulated"
)

// shrink makes a run that violates something small, runs it once more for its
// record, and says how to repeat it.
func (r *replayCmd) shrink(ctx context.Context, h record.Head, std streams) error {
	first, err := simulated.Run(ctx, h)
	if err != nil || len(first.Violations) == 0 {
		return err
	}
	name, begun := first.Violations[0].Invariant, time.Now()
	small, found, err := simulated.Shrink(ctx, h, name, r.Tries)
	if err != nil || !found.Fails {
		return err
	}
	how := "nothing more can be left out"
	if !found.Minimal {
		how = "there was no time for more"
	}
	fmt.Fprintf(std.out, "\nshrunk to %d of %s and %s, %d tries in %.0f s; %s:\n%s", len(small.Schedule), count(len(h.Schedule), "fault"), count(found.Nodes, "node"),
		found.Tries, time.Since(begun).Seconds(), how, small.Schedule)
	small.What = "shrunk " + h.What
	_, err = performSimulated(ctx, small, recordPath(beside(r.File, "-small"+record.Extension), "", begun), std)
	return err
}
