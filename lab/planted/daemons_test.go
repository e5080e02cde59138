//go:build planted

package planted

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/g8os/g8os/internal/planted"
	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/real"
	"github.com/g8os/g8os/lab/run"
	"github.com/g8os/g8os/lab/topology"
)

// onDaemons is a bug that can be had on real daemons, where it shows.
type onDaemons struct {
	bug      planted.Bug
	topology string
	schedule string
	jobs     time.Duration // between two of them; 0: none
}

const (
	leased = `
segments:
  - {name: dhcp, subnet: 192.168.8.0/24, dhcp: {first: 192.168.8.10, last: 192.168.8.20, lease: 2m}}
acs:
  - {name: ac1, policy: open, legs: [{segment: dhcp, address: 192.168.8.2}]}
nodes:
  - {name: node, nics: [{segment: dhcp}]}
`
	isolated = `
segments:
  - {name: isolated}
acs:
  - {name: ac1, policy: open, legs: [{segment: isolated}]}
nodes:
  - {name: node, nics: [{segment: isolated}]}
`
)

var daemons = []onDaemons{
	{bug: planted.FallbackKept, topology: leased, schedule: `
		1s dhcp-silent on=dhcp for=20s
		2s power on=node for=1s`},
	{bug: planted.AnyCA, topology: isolated, schedule: `
		1s stranger on=isolated for=15s
		2s power on=node for=1s`},
	{bug: planted.ResultsOnce, topology: leased, jobs: 2 * time.Second, schedule: `
		5s partition from=node for=45s`},
}

// What is found in the simulator is found on real daemons, as far as their
// faults and what is seen of them go. G8LAB_FIDELITY=netns asks for it: each
// takes a minute or two.
func TestOnDaemons(t *testing.T) {
	if os.Getenv("G8LAB_FIDELITY") != topology.NetNS {
		t.Skip("real daemons are asked for by G8LAB_FIDELITY=netns (make planted FIDELITY=netns)")
	}
	bin := build(t)
	for _, d := range daemons {
		t.Run(string(d.bug), func(t *testing.T) {
			if f := d.live(t, bin, ""); f.by != "" {
				t.Errorf("without the bug: %s after %s: %s", f.by, f.at, f.text)
			}
			f := d.live(t, bin, d.bug)
			if f.by == "" {
				t.Fatalf("no invariant was violated, in %s", f.cost)
			}
			note(d.bug, topology.NetNS, "directed", f)
		})
	}
}

// live runs the schedule in a lab of its own, of daemons with a bug.
func (d onDaemons) live(t *testing.T, bin string, bug planted.Bug) found {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	top, err := topology.Parse("topology.yaml", []byte(d.topology))
	if err != nil {
		t.Fatal(err)
	}
	s, err := fault.ParseSchedule(d.schedule)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("p%d", os.Getpid())
	defer func() {
		if err := lab.Down(context.WithoutCancel(ctx), name, lab.DownOptions{}); err != nil {
			t.Error(err)
		}
	}()
	begin := time.Now()
	g, err := real.Up(ctx, top, lab.Options{Name: name, BinDir: bugged(t, bin, bug)})
	if err != nil {
		t.Fatal(err)
	}
	f := live(t, g, s, run.Options{Ready: true, Jobs: fault.Duration(d.jobs), Seed: seed})
	if err := g.Close(ctx); err != nil {
		t.Error(err)
	}
	f.cost = time.Since(begin)
	return f
}

// build makes what a lab runs, daemons that can have bugs among it, in a folder.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	c := exec.Command("go", "build", "-tags", "planted", "-o", dir+"/", "../../core/cmd/g8os_core", "../../ac-mock/cmd/g8os_ac", "../../lab/cmd/g8lab")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build -tags planted: %v\n%s", err, out)
	}
	copied(t, "../../bin/gocryptfs", filepath.Join(dir, "gocryptfs"))
	return dir
}

// bugged is a folder with those daemons, each started with a bug. Nodes see
// nothing of the host's /tmp but this folder, where it is mounted in them.
func bugged(t *testing.T, bin string, bug planted.Bug) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"g8os_core", "g8os_ac"} {
		text := fmt.Sprintf("#!/bin/sh\n%s=%s exec \"${0%%/*}/planted-%s\" \"$@\"\n", planted.Variable, bug, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		copied(t, filepath.Join(bin, name), filepath.Join(dir, "planted-"+name))
	}
	for _, name := range []string{"g8lab", "gocryptfs"} {
		copied(t, filepath.Join(bin, name), filepath.Join(dir, name))
	}
	return dir
}

func copied(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o755)
	}
	if err != nil {
		t.Fatalf("%v (make build makes gocryptfs)", err)
	}
}
