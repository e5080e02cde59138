package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

//go:embed topologies/*.yaml
var topologies embed.FS

// bench labs are never the operator's.
const labPrefix = "bench-"

// labUp brings up a topology and returns the nodes once all are managed, and
// how long the command took. down must be called in any case.
func (b *bench) labUp(ctx context.Context, name, topology string, more ...string) (nodes []node, took time.Duration, err error) {
	file, err := b.topologyFile(topology)
	if err != nil {
		return nil, 0, err
	}
	begin := time.Now()
	args := append([]string{"up", file, "--lab", labPrefix + name, "--timeout", "90s"}, more...)
	if _, err := b.g8lab(ctx, args...); err != nil {
		return nil, 0, err
	}
	took = time.Since(begin)
	text, err := b.g8lab(ctx, "status", "--lab", labPrefix+name, "-o", "json")
	if err != nil {
		return nil, took, err
	}
	var s struct{ Nodes []node }
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, took, fmt.Errorf("g8lab status -o json: %w", err)
	}
	return s.Nodes, took, nil
}

// node is one of g8lab status -o json.
type node struct {
	Name           string
	Phase          string
	Way            string
	ManagedAfterMS float64 `json:"managed_after_ms"`
}

// topologyFile is a file of the checkout, or one of ours, written out.
func (b *bench) topologyFile(name string) (string, error) {
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	text, err := topologies.ReadFile("topologies/" + name + ".yaml")
	if err != nil {
		return "", err
	}
	file := filepath.Join(os.TempDir(), fmt.Sprintf("g8os-bench-%d-%s.yaml", os.Getpid(), name))
	return file, os.WriteFile(file, text, 0o600)
}

// down takes a lab down, also when the context has ended, and says how long
// that took.
func (b *bench) down(ctx context.Context, name string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	begin := time.Now()
	_, err := b.g8lab(ctx, "down", "--lab", labPrefix+name)
	if files, _ := filepath.Glob(filepath.Join(os.TempDir(), fmt.Sprintf("g8os-bench-%d-*.yaml", os.Getpid()))); err == nil {
		for _, f := range files {
			_ = os.Remove(f)
		}
	}
	return time.Since(begin), err
}

// g8lab runs it and returns its output; the error carries what it complained of.
func (b *bench) g8lab(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "g8lab"), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("g8lab %s: %w: %s", args[0], err, complaint(errs.String(), out.String()))
	}
	return out.Bytes(), nil
}

// complaint is the first line of what a program says went wrong, a node that is
// late among it; the last one of its output, if it complained of nothing.
func complaint(errs, out string) string {
	if first, _, _ := strings.Cut(strings.TrimSpace(errs), "\n"); first != "" {
		return first
	}
	return lastLine(out)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
