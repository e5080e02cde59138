package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/g8os/g8os/lab/chaos"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/swarm"
)

type simCmd struct {
	Topology string         `arg:"" optional:"" type:"path" help:"Topology file (YAML); default: the grid of g8lab up, or one made for --nodes."`
	Nodes    *int           `short:"n" placeholder:"N" help:"So many nodes: spread over the groups of the topology, or over segments made for them."`
	ACs      *int           `name:"acs" placeholder:"N" help:"So many ACs, of a grid that is made; default: 1."`
	Hours    *float64       `placeholder:"H" help:"How long the grid lives, in hours of its own time; default: 1, and 5 minutes with faults."`
	For      *time.Duration `placeholder:"TIME" help:"The same as a time, such as 90s."`
	Seed     *uint64        `placeholder:"N" help:"The same seed gives the same history; default: 1."`
	Seeds    string         `placeholder:"FROM..TO" help:"One grid after another, with each of these seeds."`
	Swarm    bool           `help:"Draw the grid and what goes wrong in it from the seed."`
	Without  []string       `placeholder:"KIND" help:"Kinds of faults that are not drawn."`
	Plan     string         `placeholder:"NAME" help:"Faults of a named plan; g8lab chaos list lists them."`
	Every    time.Duration  `default:"20s" help:"A fault of the plan begins about so often (${default})."`
	Schedule string         `type:"path" placeholder:"FILE" help:"Faults as a file says, a line each: \"5s kill on=office-1 for=3s\"; - is stdin."`
	Boot     time.Duration  `placeholder:"TIME" help:"Nodes get power within this time, each at a moment of its own; default: all at once."`
	Jobs     time.Duration  `placeholder:"TIME" help:"A job is started about so often, and has to be accounted for; default: none, 10s with faults."`
	Settle   time.Duration  `placeholder:"TIME" help:"How long the grid has to come up, and to recover in the end; default: 1m and the time of --boot; 3m with --swarm."`
	Record   string         `type:"path" placeholder:"FILE" help:"Where the record goes; default: none; with --seeds, that of a run that failed, into a new file here."`
	Twice    *bool          `negatable:"" help:"Run everything twice and compare the histories; default with --seeds."`
	Procs    int            `default:"1" placeholder:"N" help:"With --seeds, so many grids side by side."`
	Keep     bool           `name:"keep-going" help:"With --seeds, go on after a seed that failed."`
	Output   string         `short:"o" enum:"text,json" default:"text" help:"text or json."`
	Log      string         `type:"path" placeholder:"FILE" help:"Where the log of the production code goes; of one run."`
}

// gcPercent lets garbage grow to several times what is alive: a simulated grid
// is small, and makes much of it.
const gcPercent = 400

func (s *simCmd) Run(ctx context.Context, std streams) error {
	if err := s.check(); err != nil {
		return exitError{exitUsage, err}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	if s.Seeds != "" {
		return s.many(ctx, std)
	}
	return s.one(ctx, std)
}

// check refuses what makes no sense, whatever the grid.
func (s *simCmd) check() error {
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"for", s.length()}, {"boot", s.Boot}, {"jobs", s.Jobs}, {"settle", s.Settle}} {
		if d.value < 0 {
			return fmt.Errorf("--%s %s: want a time above 0", d.flag, d.value)
		}
	}
	for _, pair := range []struct {
		both bool
		what string
	}{
		{s.Hours != nil && s.For != nil, "--hours and --for say the same: want one"},
		{s.Seed != nil && s.Seeds != "", "--seed is one and --seeds are many: want one of them"},
		{s.Plan != "" && s.Schedule != "", "--plan and --schedule both say what goes wrong: want one"},
		{s.Swarm && s.fixed() != "", s.fixed() + ": with --swarm that is drawn from the seed; leave it out"},
		{!s.Swarm && len(s.Without) > 0, "--without leaves out what --swarm draws: want both or none"},
		{s.Log != "" && s.Seeds != "", "--log is of one run: want --seed instead of --seeds"},
	} {
		if pair.both {
			return errors.New(pair.what)
		}
	}
	return errors.Join(s.checkNumbers(), s.checkFaults(), s.checkFiles())
}

// fixed is a flag that says what a swarm draws.
func (s *simCmd) fixed() string {
	switch {
	case s.Topology != "":
		return s.Topology
	case s.Nodes != nil:
		return "--nodes"
	case s.ACs != nil:
		return "--acs"
	case s.Plan != "":
		return "--plan"
	case s.Schedule != "":
		return "--schedule"
	case s.Boot != 0:
		return "--boot"
	case s.Jobs != 0:
		return "--jobs"
	}
	return ""
}

func (s *simCmd) checkNumbers() error {
	if s.Procs < 1 {
		return fmt.Errorf("--procs %d: want 1 or more", s.Procs)
	}
	if s.Nodes != nil && *s.Nodes < 1 {
		return fmt.Errorf("--nodes %d: want 1 or more", *s.Nodes)
	}
	if s.ACs != nil && *s.ACs < 1 {
		return fmt.Errorf("--acs %d: want 1 or more", *s.ACs)
	}
	if s.Seeds == "" {
		return nil
	}
	_, _, err := s.seeds()
	return err
}

func (s *simCmd) checkFaults() error {
	if s.Plan != "" {
		if _, err := chaos.Find(s.Plan); err != nil {
			return err
		}
		if err := (chaos.Options{Every: s.Every, For: s.length()}).Check(); err != nil {
			return err
		}
	}
	if s.Swarm && s.length() < swarm.Shortest {
		return fmt.Errorf("--for %s: want %s or more with --swarm", s.length(), swarm.Shortest)
	}
	for _, kind := range s.Without {
		if _, err := fault.Find(kind); err != nil {
			return err
		}
	}
	return nil
}

// checkFiles refuses to write over what is there.
func (s *simCmd) checkFiles() error {
	if s.Record == "" {
		return nil
	}
	if _, err := os.Lstat(s.Record); err == nil {
		return fmt.Errorf("record %s: is there already; want another name, or remove it", s.Record)
	}
	return nil
}

// seeds are those of --seeds, both ends included.
func (s *simCmd) seeds() (from, to uint64, err error) {
	first, last, two := strings.Cut(s.Seeds, "..")
	from, err = strconv.ParseUint(first, 10, 64)
	if err == nil && two {
		to, err = strconv.ParseUint(last, 10, 64)
	}
	switch {
	case err != nil || !two:
		return 0, 0, fmt.Errorf("--seeds %s: want FROM..TO, such as 1000..2000", s.Seeds)
	case to < from:
		return 0, 0, fmt.Errorf("--seeds %s: the wrong way round; want %d..%d", s.Seeds, to, from)
	}
	return from, to, nil
}

// How long a grid lives, by default: in peace, and with faults.
const (
	peace = time.Hour
	war   = 5 * time.Minute
)

// length is how long faults may come.
func (s *simCmd) length() time.Duration {
	switch {
	case s.For != nil:
		return *s.For
	case s.Hours != nil:
		return time.Duration(*s.Hours * float64(time.Hour))
	case s.Swarm || s.Plan != "" || s.Schedule != "":
		return war
	}
	return peace
}

// twice says whether everything is run twice.
func (s *simCmd) twice() bool {
	if s.Twice != nil {
		return *s.Twice
	}
	return s.Seeds != ""
}
