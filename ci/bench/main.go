// Bench measures what G8OS promises about time and size and prints one table:
// bound, limit, measured, how much of the limit that is, verdict. It drives
// the binaries in bin/ as a person would (g8lab, its JSON) and the benchmarks
// of the controller's packages (go test -bench).
//
// It is not a test: a busy machine misses bounds. It exits 1 when a bound was
// missed or could not be measured. It brings up labs named bench-*, and takes
// them down again.
//
//	go run ./ci/bench                    everything (make bench)
//	go run ./ci/bench -only nodes,ways   some sections
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// sections, in the order in which they are measured; each yields the bounds
// it is about.
var sections = []struct {
	name    string
	what    string
	measure func(ctx context.Context, b *bench) []result
}{
	{"size", "the core's binary", measureSize},
	{"ways", "configured, and fallback after dead DHCP on two NICs", measureWays},
	{"idle", "a managed node that has nothing to do", measureIdle},
	{"impair", "links that misbehave, and those beside them", measureImpair},
	{"sim", "simulated grids", measureSim},
	{"hundred", "100 nodes up and down", measureHundred},
	{"rotate", "keys of 100 nodes replaced", measureRotate},
	{"failover", "one of three controllers killed", measureFailover},
	{"jobs", "jobs at one AC, durable at each step", measureJobs},
	{"grid", "jobs of a real node: round trips, and much output", measureGrid},
	{"ac", "the controller under load", measureAC},
	{"services", "200 services of a node", measureServices},
	{"channel", "files to and from a node", measureChannel},
	{"image", "the operating system as it is shipped", measureImage},
	{"vm", "one virtual machine that boots", measureMachine},
	{"vm16", "16 clones of a template", measureSixteen},
	{"vm50", "50 clones", measureFifty},
}

// bench is what sections share.
type bench struct {
	bin      string // folder of the binaries
	progress io.Writer
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "bench: "+format+"\n", args...)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", "", "sections to measure, separated by commas: "+names())
	bin := flags.String("bin", "bin", "folder of the binaries")
	asJSON := flags.Bool("json", false, "print JSON instead of a table")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := choose(*only)
	if err != nil {
		return err
	}
	b := &bench{bin: *bin, progress: progress}
	var results []result
	for _, s := range sections {
		if !slices.Contains(wanted, s.name) || ctx.Err() != nil {
			continue
		}
		b.say("%s: %s", s.name, s.what)
		results = append(results, s.measure(ctx, b)...)
	}
	if *asJSON {
		err = json.NewEncoder(out).Encode(results)
	} else {
		err = printTable(out, results)
	}
	return errors.Join(err, verdict(results), ctx.Err())
}

func names() string {
	var all []string
	for _, s := range sections {
		all = append(all, s.name)
	}
	return strings.Join(all, ", ")
}

func choose(only string) ([]string, error) {
	if only == "" {
		only = strings.ReplaceAll(names(), " ", "")
	}
	wanted := strings.Split(only, ",")
	for _, w := range wanted {
		if !slices.Contains(strings.Split(names(), ", "), w) {
			return nil, fmt.Errorf("no section %q; there are %s", w, names())
		}
	}
	return wanted, nil
}
