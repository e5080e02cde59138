package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

var (
	stormBack = bound{Name: "100 nodes managed again, once their AC that was killed is there", Limit: 20, Unit: "s"}
	stormAsk  = bound{Name: "slowest answer to g8os nodes meanwhile", Limit: 1, Unit: "s"}
)

// stormAway is how long the AC is away: long enough for every node to look for
// another one.
const stormAway = 10 * time.Second

// measureStorm kills the AC of a lab and starts it again, and asks it for its
// nodes all the time until it says of all of them that they are managed.
func measureStorm(ctx context.Context, b *bench, name string) []result {
	lab := labPrefix + name
	text, err := b.g8lab(ctx, "fault", "add", "ac-kill", "--lab", lab)
	if err == nil {
		err = sleep(ctx, stormAway)
	}
	if err == nil {
		text, err = b.g8lab(ctx, "fault", "heal", "--all", "--lab", lab) // it waits until the AC is ready
	}
	if err != nil {
		return failedAll(fmt.Errorf("kill and start the AC: %w: %s", err, text), stormBack, stormAsk)
	}
	back, slowest, err := b.untilManaged(ctx, lab, 3*time.Duration(stormBack.Limit)*time.Second)
	if err != nil {
		return failedAll(err, stormBack, stormAsk)
	}
	return []result{stormBack.measured(back.Seconds()), stormAsk.measured(slowest.Seconds())}
}

// untilManaged asks an AC for its nodes until all are managed, and says how long
// that took, and the slowest answer.
func (b *bench) untilManaged(ctx context.Context, lab string, within time.Duration) (took, slowest time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for began := time.Now(); ; {
		asked := time.Now()
		out, err := exec.CommandContext(ctx, filepath.Join(b.bin, "g8os"), "--context", lab, "nodes", "-o", "json").Output()
		if err != nil {
			return 0, 0, fmt.Errorf("g8os nodes: %w", err)
		}
		slowest = max(slowest, time.Since(asked))
		left, err := unmanaged(out)
		if err != nil {
			return 0, 0, err
		}
		if left == 0 {
			return time.Since(began), slowest, nil
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return 0, 0, fmt.Errorf("%d nodes are not managed after %s: %w", left, within, err)
		}
	}
}

// unmanaged counts the nodes of g8os nodes -o json that are not managed.
func unmanaged(text []byte) (left int, err error) {
	var nodes []struct{ Phase string }
	if err := json.Unmarshal(text, &nodes); err != nil {
		return 0, fmt.Errorf("g8os nodes -o json: %w", err)
	}
	for _, n := range nodes {
		if n.Phase != "managed" {
			left++
		}
	}
	return left, nil
}
