package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

var (
	bootTime    = bound{Name: "virtual machine: bare /init → managed, by its own clock", Limit: 2, Unit: "s"}
	sixteenUp   = bound{Name: "16 virtual machines managed, from a template", Limit: 15, Unit: "s"}
	sixteenEach = bound{Name: "memory of each of 16 virtual machines, all told", Limit: 80, Unit: "MiB"}
	fiftyUp     = bound{Name: "50 virtual machines managed: their memory, all told", Limit: 24, Unit: "GiB"}
	initramfs   = bound{Name: "initramfs", Limit: 60, Unit: "MiB"}
	stick       = bound{Name: "USB image, with all tools", Limit: 700, Unit: "MiB"}
)

// machinesIn is how long many machines may take before nothing is measured:
// far more than they promise, so that a miss is a figure.
const machinesIn = "10m"

func measureImage(context.Context, *bench) []result {
	var results []result
	for _, f := range []struct {
		name string
		of   bound
	}{{"initramfs", initramfs}, {"g8os.img", stick}} {
		st, err := os.Stat(filepath.Join("build", f.name))
		if err != nil {
			results = append(results, f.of.failed(fmt.Errorf("%w; make image builds it", err)))
			continue
		}
		results = append(results, f.of.measured(float64(st.Size())/(1<<20)))
	}
	return results
}

// measureMachine boots one machine, not a clone: what it takes from the
// moment at which a bare /init would run.
func measureMachine(ctx context.Context, b *bench) []result {
	const name = "machine"
	defer b.down(ctx, name)
	nodes, _, err := b.labUp(ctx, name, "machine", "--timeout", machinesIn)
	if err != nil {
		return failedAll(err, bootTime)
	}
	log, err := b.g8lab(ctx, "exec", "--lab", labPrefix+name, nodes[0].Name, "--", "dmesg")
	if err != nil {
		return failedAll(err, bootTime)
	}
	init, err1 := kernelTime(string(log), "Run /init as init process")
	managed, err2 := kernelTime(string(log), `g8os: node is="managed`)
	if err := errors.Join(err1, err2); err != nil {
		return failedAll(err, bootTime)
	}
	return []result{bootTime.measured(managed - init)}
}

// kernelTime is when the kernel's log first says something, in seconds since
// it started.
func kernelTime(log, what string) (float64, error) {
	for lines := bufio.NewScanner(strings.NewReader(log)); lines.Scan(); {
		stamp, said, ok := strings.Cut(lines.Text(), "] ")
		if ok && strings.HasPrefix(said, what) {
			return strconv.ParseFloat(strings.TrimSpace(strings.TrimPrefix(stamp, "[")), 64)
		}
	}
	return 0, fmt.Errorf("the kernel's log does not say %q", what)
}

func measureSixteen(ctx context.Context, b *bench) []result {
	took, memory, err := b.clones(ctx, "vm16", 16)
	if err != nil {
		return failedAll(err, sixteenUp, sixteenEach)
	}
	return []result{sixteenUp.measured(took), sixteenEach.measured(memory / 16)}
}

func measureFifty(ctx context.Context, b *bench) []result {
	took, memory, err := b.clones(ctx, "vm50", 50)
	if err != nil {
		return failedAll(err, fiftyUp)
	}
	b.say("vm50: managed after %.1f s", took)
	return []result{fiftyUp.measured(memory / 1024)}
}

// clones brings up n machines, whose template is there already. It returns
// seconds, and MiB.
func (b *bench) clones(ctx context.Context, name string, n int) (took, memory float64, err error) {
	up := func(n int) error {
		nodes, t, err := b.labUp(ctx, name, "office", "--fidelity", "vm", "--timeout", machinesIn, "--nodes", strconv.Itoa(n))
		if err == nil && len(nodes) != n {
			err = fmt.Errorf("%d nodes came up, want %d", len(nodes), n)
		}
		took = t.Seconds()
		return err
	}
	err = up(1) // makes the template
	if _, downErr := b.down(ctx, name); err == nil {
		err = downErr
	}
	if err != nil {
		return 0, 0, err
	}
	defer b.down(ctx, name)
	if err := up(n); err != nil {
		return 0, 0, err
	}
	memory, err = machineMemory(labPrefix+name, n)
	return took, memory, err
}

// machineMemory is what the n machines of a lab have in memory, QEMU and its
// init, in MiB. What they share counts once (the proportional set size of proc(5)).
func machineMemory(lab string, n int) (float64, error) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	found, sum := 0, 0.0
	for _, path := range lines {
		text, _ := os.ReadFile(path) // a process may have ended
		if !strings.Contains(string(text), "\x00-name\x00"+lab+".") {
			continue
		}
		qemu := filepath.Dir(path)
		parent, err := procField(qemu+"/status", "PPid:")
		if err != nil {
			return 0, err
		}
		for _, proc := range []string{qemu, fmt.Sprintf("/proc/%.0f", parent)} {
			kib, err := procField(proc+"/smaps_rollup", "Pss:")
			if err != nil {
				return 0, err
			}
			sum += kib / 1024
		}
		found++
	}
	if found != n {
		return 0, fmt.Errorf("lab %s has %d machines, want %d", lab, found, n)
	}
	return sum, nil
}

// procField is a number of a file in /proc with a field a line.
func procField(path, field string) (float64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == field {
			return strconv.ParseFloat(f[1], 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, field)
}
