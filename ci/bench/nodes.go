package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

var (
	coreSize   = bound{Name: "g8os_core, static binary", Limit: 25, Unit: "MiB"}
	configured = bound{Name: "configured way → managed, slowest node", Limit: 2, Unit: "s"}
	fallback   = bound{Name: "dead DHCP on two NICs → managed over fallback", Limit: 15, Unit: "s"}
	idleRSS    = bound{Name: "g8os_core, resident when managed and idle", Limit: 25, Unit: "MiB"}
	idleCPU    = bound{Name: "g8os_core, CPU when managed and idle", Limit: 0.2, Unit: "% of a core"}
	hundredUp  = bound{Name: "100 nodes managed, from nothing", Limit: 20, Unit: "s"}
	hundredOff = bound{Name: "100 nodes down", Limit: 2, Unit: "s"}
)

func measureSize(_ context.Context, b *bench) []result {
	st, err := os.Stat(filepath.Join(b.bin, "g8os_core"))
	if err != nil {
		return failedAll(fmt.Errorf("%w; make build makes it", err), coreSize)
	}
	return []result{coreSize.measured(float64(st.Size()) / (1 << 20))}
}

func measureWays(ctx context.Context, b *bench) []result {
	return []result{
		b.slowest(ctx, configured, "office", "configured"),
		b.slowest(ctx, fallback, "dead-dhcp", "fallback"),
	}
}

// slowest is the time the slowest node of a topology took to be managed.
func (b *bench) slowest(ctx context.Context, of bound, topology, way string) result {
	defer b.down(ctx, topology)
	nodes, _, err := b.labUp(ctx, topology, topology)
	if err != nil {
		return of.failed(err)
	}
	var ms float64
	for _, n := range nodes {
		if n.Way != way || n.Phase != "managed" {
			return of.failed(fmt.Errorf("%s is %s by way %s, want managed by way %s", n.Name, n.Phase, n.Way, way))
		}
		ms = max(ms, n.ManagedAfterMS)
	}
	return of.measured(ms / 1000)
}

const (
	settle   = 10 * time.Second // after the node became managed
	idleTime = 60 * time.Second
)

func measureIdle(ctx context.Context, b *bench) []result {
	const name = "idle"
	defer b.down(ctx, name)
	nodes, _, err := b.labUp(ctx, name, "office")
	if err == nil {
		err = sleep(ctx, settle)
	}
	if err != nil {
		return failedAll(err, idleRSS, idleCPU)
	}
	before, err := b.usage(ctx, name, nodes[0].Name)
	if err != nil {
		return failedAll(err, idleRSS, idleCPU)
	}
	b.say("idle: watching %s for %s", nodes[0].Name, idleTime)
	if err := sleep(ctx, idleTime); err != nil {
		return failedAll(err, idleRSS, idleCPU)
	}
	after, err := b.usage(ctx, name, nodes[0].Name)
	if err != nil {
		return failedAll(err, idleRSS, idleCPU)
	}
	share := (after.cpu - before.cpu).Seconds() / after.at.Sub(before.at).Seconds() * 100
	return []result{idleRSS.measured(after.rssMiB), idleCPU.measured(share)}
}

// usage is what g8os_core of a node has used so far.
type usage struct {
	at     time.Time
	cpu    time.Duration
	rssMiB float64
}

func (b *bench) usage(ctx context.Context, lab, node string) (usage, error) {
	inside := []string{"exec", "--lab", labPrefix + lab, node, "--"}
	text, err := b.g8lab(ctx, append(inside, "g8os_core", "status", "-o", "json")...)
	if err != nil {
		return usage{}, err
	}
	var status struct{ PID int }
	if err := json.Unmarshal(text, &status); err != nil {
		return usage{}, fmt.Errorf("g8os_core status -o json: %w", err)
	}
	proc := fmt.Sprintf("/proc/%d/", status.PID)
	at := time.Now()
	text, err = b.g8lab(ctx, append(inside, "cat", proc+"stat", proc+"status")...)
	if err != nil {
		return usage{}, err
	}
	u, err := parseUsage(string(text))
	u.at = at
	return u, err
}

// ticks per second of /proc/PID/stat: USER_HZ, the same on every Linux that
// Go runs on.
const ticks = 100

// parseUsage reads /proc/PID/stat and /proc/PID/status, one after the other
// (proc(5)): fields 14 and 15 of the former, VmRSS in kB of the latter.
func parseUsage(text string) (usage, error) {
	stat, status, _ := strings.Cut(text, "\n")
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	if len(fields) < 13 {
		return usage{}, fmt.Errorf("/proc/PID/stat has %d fields after the name: %q", len(fields), stat)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return usage{}, fmt.Errorf("/proc/PID/stat: times %q and %q", fields[11], fields[12])
	}
	u := usage{cpu: time.Duration(user+system) * time.Second / ticks}
	for line := range strings.Lines(status) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseFloat(strings.Fields(kb)[0], 64)
			u.rssMiB = n / 1024
			return u, err
		}
	}
	return u, fmt.Errorf("/proc/PID/status has no VmRSS")
}

func measureHundred(ctx context.Context, b *bench) []result {
	const name = "hundred"
	_, took, err := b.labUp(ctx, name, "lab/topologies/default.yaml", "--nodes", "100")
	var storm []result
	if err != nil {
		storm = failedAll(err, stormBack, stormAsk)
	} else {
		storm = measureStorm(ctx, b, name)
	}
	down, downErr := b.down(ctx, name)
	results := []result{hundredUp.measured(took.Seconds()), hundredOff.measured(down.Seconds())}
	if err != nil {
		results = failedAll(err, hundredUp, hundredOff)
	} else if downErr != nil {
		results[1] = hundredOff.failed(downErr)
	}
	return append(results, storm...)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
