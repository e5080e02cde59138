package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// metricBound is a bound on what a benchmark reports.
type metricBound struct {
	bound
	metric string
}

// The controller's own benchmarks report these metrics, by unit
// (testing.B.ReportMetric). A bound is about the worst that was reported.
var controllerBounds = []metricBound{
	{bound{Name: "AC, memory per idle node", Limit: 64, Unit: "KiB"}, "KiB/node"},
	{bound{Name: "AC, what a node costs beside 10 000, of that beside 100: memory", Limit: 1.1}, "x-linear"},
	{bound{Name: "the same: CPU of a heartbeat", Limit: 1.1}, "x-linear-beat"},
	{bound{Name: "the same: CPU of opening a session", Limit: 1.1}, "x-linear-open"},
	{bound{Name: "AC, unlock p99 at 200/s", Limit: 30, Unit: "ms"}, "ms-p99"},
	{bound{Name: "AC, new sessions per second and core, of a bare TLS listener's", Limit: 0.8, Unit: "", AtLeast: true}, "of-bare-TLS"},
}

// jobsBounds are likewise of ac-mock/jobs: on etcd and files, without a network.
var jobsBounds = []metricBound{
	{bound{Name: "job on an idle AC, from asking to its end told, p50", Limit: 15, Unit: "ms"}, "ms-p50-job"},
	{bound{Name: "the same, p99", Limit: 60, Unit: "ms"}, "ms-p99-job"},
	{bound{Name: "jobs a second of 1000 operators", Limit: 1000, Unit: "/s", AtLeast: true}, "jobs/s"},
	{bound{Name: "job on 100 nodes, first result", Limit: 50, Unit: "ms"}, "ms-first-of-100"},
	{bound{Name: "the same, all results", Limit: 1000, Unit: "ms"}, "ms-all-of-100"},
	{bound{Name: "output of one node, until it is durable", Limit: 100, Unit: "MB/s", AtLeast: true}, "MB/s-output"},
}

// gridBounds are of jobs on a lab of namespaces, with real daemons.
var gridBounds = []metricBound{
	{bound{Name: "job `true` on an idle grid of namespaces, p50", Limit: 15, Unit: "ms"}, "ms-p50-grid"},
	{bound{Name: "the same, p99", Limit: 60, Unit: "ms"}, "ms-p99-grid"},
	{bound{Name: "output of a job, from its pipe over a session to its operator", Limit: 100, Unit: "MB/s", AtLeast: true}, "MB/s-grid"},
	{bound{Name: "g8os_core grows meanwhile by", Limit: 64, Unit: "MiB"}, "MiB-core-grows"},
	{bound{Name: "g8os_ac grows meanwhile by", Limit: 64, Unit: "MiB"}, "MiB-AC-grows"},
}

// servicesBounds are of the supervisor of a node, with programs that sleep.
var servicesBounds = []metricBound{
	{bound{Name: "200 services started, from their declarations", Limit: 2, Unit: "s"}, "s-200-services"},
	{bound{Name: "supervisor's CPU while 200 services run", Limit: 0.5, Unit: "% of a core"}, "%-200-services"},
}

func measureServices(ctx context.Context, b *bench) []result {
	return measureGo(ctx, b, "./core/services", servicesBounds)
}

func measureAC(ctx context.Context, b *bench) []result {
	return measureGo(ctx, b, "./ac-mock/...", controllerBounds)
}

func measureJobs(ctx context.Context, b *bench) []result {
	return measureGo(ctx, b, "./ac-mock/jobs", jobsBounds)
}

func measureGrid(ctx context.Context, b *bench) []result {
	return measureGo(ctx, b, "./lab", gridBounds)
}

// measureGo runs one package after another: side by side they would measure
// each other.
func measureGo(ctx context.Context, b *bench, packages string, bounds []metricBound) []result {
	cmd := exec.CommandContext(ctx, "go", "test", "-p", "1", "-run", "^$", "-bench", ".", "-benchtime", "3s", "-timeout", "10m", packages)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, b.progress
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("go test -bench . %s: %w: %s", packages, err, lastLine(out.String()))
	}
	metrics := parseBenchmarks(out.String())
	var results []result
	for _, c := range bounds {
		values := metrics[c.metric]
		switch {
		case err != nil:
			results = append(results, c.failed(err))
		case len(values) == 0:
			results = append(results, c.failed(fmt.Errorf("no benchmark under %s reports %s", packages, c.metric)))
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
