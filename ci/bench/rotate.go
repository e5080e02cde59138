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
	hundredShares = bound{Name: "100 nodes, unlock share rotated", Limit: 60, Unit: "s"}
	hundredCerts  = bound{Name: "100 nodes, client certificate rotated", Limit: 60, Unit: "s"}
)

// measureRotate has the keys of 100 nodes replaced, over the sessions that they
// have, as an operator does.
func measureRotate(ctx context.Context, b *bench) []result {
	const name = "rotate"
	_, _, err := b.labUp(ctx, name, "lab/topologies/default.yaml", "--nodes", "100")
	defer b.down(ctx, name)
	if err != nil {
		return failedAll(err, hundredShares, hundredCerts)
	}
	return []result{b.rotation(ctx, name, hundredShares, "unlock"), b.rotation(ctx, name, hundredCerts, "cert")}
}

// rotation times one kind, until nobody holds the old key.
func (b *bench) rotation(ctx context.Context, name string, of bound, kind string) result {
	g8os := func(args ...string) ([]byte, error) {
		c := exec.CommandContext(ctx, filepath.Join(b.bin, "g8os"), append([]string{"--context", labPrefix + name}, args...)...)
		out, err := c.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("g8os %v: %w: %s", args, err, out)
		}
		return out, err
	}
	begin := time.Now()
	if _, err := g8os("rotate", kind, "--all", "--watch"); err != nil {
		return of.failed(err)
	}
	took := time.Since(begin)
	text, err := g8os("rotate", "status", "-o", "json")
	if err != nil {
		return of.failed(err)
	}
	var all []struct {
		Kind   string
		Counts map[string]int
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return of.failed(fmt.Errorf("g8os rotate status -o json: %w", err))
	}
	for _, r := range all {
		if r.Kind == kind && r.Counts["removed"] != 100 {
			return of.failed(fmt.Errorf("%v nodes are done, want 100", r.Counts))
		}
	}
	return of.measured(took.Seconds())
}
