package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// The controller's own benchmarks report these metrics, by unit
// (testing.B.ReportMetric). A bound is about the worst that was reported.
var controllerBounds = []struct {
	bound
	metric string
}{
	{bound{Name: "AC, memory per idle node", Limit: 64, Unit: "KiB"}, "KiB/node"},
	{bound{Name: "AC, what a node costs beside 10 000, of that beside 100: memory", Limit: 1.1}, "x-linear"},
	{bound{Name: "the same: CPU of a heartbeat", Limit: 1.1}, "x-linear-beat"},
	{bound{Name: "the same: CPU of opening a session", Limit: 1.1}, "x-linear-open"},
	{bound{Name: "AC, unlock p99 at 200/s", Limit: 30, Unit: "ms"}, "ms-p99"},
	{bound{Name: "AC, new sessions per second and core, of a bare TLS listener's", Limit: 0.8, Unit: "", AtLeast: true}, "of-bare-TLS"},
}

// measureAC runs one package after another: side by side they would measure
// each other.
func measureAC(ctx context.Context, b *bench) []result {
	cmd := exec.CommandContext(ctx, "go", "test", "-p", "1", "-run", "^$", "-bench", ".", "-benchtime", "3s", "-timeout", "10m", "./ac-mock/...")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, b.progress
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("go test -bench . ./ac-mock/...: %w: %s", err, lastLine(out.String()))
	}
	metrics := parseBenchmarks(out.String())
	var results []result
	for _, c := range controllerBounds {
		values := metrics[c.metric]
		switch {
		case err != nil:
			results = append(results, c.failed(err))
		case len(values) == 0:
			results = append(results, c.failed(fmt.Errorf("no benchmark under ac-mock reports %s", c.metric)))
		default:
			results = append(results, c.measured(c.worst(values)))
		}
	}
	return results
}

// worst is the value furthest on the wrong side.
func (b bound) worst(values []float64) float64 {
	w := values[0]
	for _, v := range values {
		if v > w != b.AtLeast {
			w = v
		}
	}
	return w
}

// parseBenchmarks reads the lines of go test -bench, value before unit, into
// values by unit (golang.org/design/14313-benchmark-format).
func parseBenchmarks(text string) map[string][]float64 {
	metrics := map[string][]float64{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				metrics[fields[i+1]] = append(metrics[fields[i+1]], v)
			}
		}
	}
	return metrics
}
