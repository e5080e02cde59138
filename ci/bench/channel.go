package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

var (
	copyTo   = bound{Name: "g8os cp of 256 MiB to a node", Limit: 20, Unit: "MB/s", AtLeast: true}
	copyFrom = bound{Name: "g8os cp of 256 MiB from a node", Limit: 20, Unit: "MB/s", AtLeast: true}
	copyBusy = bound{Name: "slowest command on that node meanwhile", Limit: 1, Unit: "s"}
)

const copied = 256 << 20 // bytes

// measureChannel copies a file to a node and back. Meanwhile it runs commands
// there: they share the session with the file, as heartbeats do.
func measureChannel(ctx context.Context, b *bench) []result {
	defer b.down(ctx, "office")
	nodes, _, err := b.labUp(ctx, "office", "office")
	if err != nil {
		return failedAll(err, copyTo, copyFrom, copyBusy)
	}
	dir, err := os.MkdirTemp("", "g8os-bench-")
	if err != nil {
		return failedAll(err, copyTo, copyFrom, copyBusy)
	}
	defer os.RemoveAll(dir)
	here, node := filepath.Join(dir, "file"), nodes[0].Name
	content := make([]byte, copied)
	_, _ = rand.Read(content)
	if err := os.WriteFile(here, content, 0o600); err != nil {
		return failedAll(err, copyTo, copyFrom, copyBusy)
	}
	var rates [2]float64
	var slowest time.Duration
	for i, args := range [][]string{{"cp", here, node + ":/tmp/file"}, {"cp", node + ":/tmp/file", here}} {
		took, busy, err := b.whileCopying(ctx, node, args)
		if err != nil {
			return failedAll(err, copyTo, copyFrom, copyBusy)
		}
		rates[i], slowest = copied/1e6/took.Seconds(), max(slowest, busy)
	}
	return []result{copyTo.measured(rates[0]), copyFrom.measured(rates[1]), copyBusy.measured(slowest.Seconds())}
}

// whileCopying runs g8os, and as long as that takes one command after the other
// on a node. It returns how long both took, of the commands the slowest.
func (b *bench) whileCopying(ctx context.Context, node string, args []string) (took, slowest time.Duration, err error) {
	began := time.Now()
	done := make(chan error, 1)
	go func() {
		err := b.g8os(ctx, args...)
		took = time.Since(began)
		done <- err
	}()
	for {
		select {
		case err := <-done:
			return took, slowest, err
		default:
		}
		asked := time.Now()
		if err := b.g8os(ctx, "exec", node, "--", "true"); err != nil {
			<-done
			return took, slowest, err
		}
		slowest = max(slowest, time.Since(asked))
	}
}

func (b *bench) g8os(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, filepath.Join(b.bin, "g8os"), append([]string{"--context", labPrefix + "office"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("g8os %s: %w: %s", args[0], err, lastLine(string(out)))
	}
	return nil
}
