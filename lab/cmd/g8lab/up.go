package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/preflight"
	"github.com/g8os/g8os/lab/record"
	"github.com/g8os/g8os/lab/topologies"
	"github.com/g8os/g8os/lab/topology"
)

type upCmd struct {
	Topology string        `arg:"" optional:"" type:"path" help:"Topology file (YAML); default: three segments, six nodes, one AC."`
	Nodes    *int          `short:"n" placeholder:"N" help:"Spread N nodes over the groups of the topology."`
	Fidelity string        `enum:",netns,vm" default:"" placeholder:"netns|vm" help:"What all nodes are made of: namespaces, or QEMU machines; default: as the topology says."`
	Cold     bool          `help:"Boot virtual machines instead of making them clones of a template."`
	Image    string        `type:"path" placeholder:"DIR" help:"Where the image is that virtual machines boot; default: build/, as make image leaves it."`
	Port     int           `placeholder:"PORT" help:"Port of the AC on 127.0.0.1; default: a free one, kept while the lab lives."`
	Bin      string        `type:"path" placeholder:"DIR" help:"Where g8os_core, g8os_ac and gocryptfs are; default: beside g8lab."`
	Timeout  time.Duration `default:"3m" help:"How long the machines may take to run, and then the nodes to be managed (${default})."`
	NoWait   bool          `help:"Return when the machines run; the nodes go on climbing."`
}

func (u *upCmd) Run(ctx context.Context, c *cli, std streams) error {
	t, plan, err := u.check(c.Lab)
	if err != nil {
		return err
	}
	begun := time.Now()
	head := sync.OnceFunc(func() { // not before lab.Up has found nothing to refuse
		fmt.Fprintf(std.out, "lab %s: %d nodes on %d segments\n", c.Lab, len(plan.Nodes), len(plan.Segments))
	})
	o := lab.Options{Name: c.Lab, BinDir: u.Bin, Image: u.Image, Cold: u.Cold, Port: u.Port, Progress: func(line string) {
		head()
		fmt.Fprintf(std.out, "%5.1fs  %s\n", time.Since(begun).Seconds(), line)
	}}
	l, err := u.up(ctx, t, o)
	if err != nil {
		return u.remains(ctx, c, err)
	}
	if u.NoWait {
		_, err := fmt.Fprintf(std.out, "machines run; %s shows the nodes climb\n", say(c, "status --watch"))
		return err
	}
	limited, cancel := context.WithTimeout(ctx, u.Timeout)
	defer cancel()
	rows := climb(limited, l, std.out, begun)
	if !lab.Exists(c.Lab) {
		return fmt.Errorf("lab %s was taken down while it came up", c.Lab)
	}
	if err := printTable(std.out, rows, false); err != nil {
		return err
	}
	if failed := describeWaiting(std.err, l, rows); failed > 0 {
		return u.remains(ctx, c, fmt.Errorf("%d of %d nodes are not managed after %.0f s, lab %s %w", failed, len(rows),
			time.Since(begun).Seconds(), c.Lab, lab.ErrInPieces))
	}
	next(std.out, c, l, time.Since(begun))
	return nil
}

// up has as much time as the nodes have afterwards: the first machine of an
// image is booted for minutes on a slow host.
func (u *upCmd) up(ctx context.Context, t *topology.Topology, o lab.Options) (*lab.Lab, error) {
	limited, cancel := context.WithTimeout(ctx, u.Timeout)
	defer cancel()
	return lab.Up(limited, t, o)
}

// check finds what can be refused before anything is touched; lab.Up goes on
// with it.
func (u *upCmd) check(name string) (*topology.Topology, *topology.Plan, error) {
	if err := record.CheckName(name); err != nil {
		return nil, nil, err
	}
	if u.Timeout <= 0 {
		return nil, nil, fmt.Errorf("--timeout %s: want more than 0", u.Timeout)
	}
	t, err := u.topology()
	if err != nil {
		return nil, nil, err
	}
	plan, err := t.Plan(name)
	if err != nil {
		return nil, nil, err
	}
	return t, plan, preflight.Check(preflight.Lab{
		Nodes: newNodes(name, plan), Cold: u.Cold, Data: record.Of(name).Data,
	})
}

// newNodes are those that would be added to what runs already.
func newNodes(name string, plan *topology.Plan) []topology.Machine {
	l, err := lab.Open(name, nil)
	if err != nil {
		return plan.Nodes
	}
	return slices.DeleteFunc(slices.Clone(plan.Nodes), func(m topology.Machine) bool {
		n, err := l.FindNode(m.Name)
		return err == nil && n.Powered()
	})
}

// topology reads the file, or takes the default grid.
func (u *upCmd) topology() (t *topology.Topology, err error) {
	if u.Topology != "" {
		t, err = topology.Read(u.Topology)
	} else {
		t, err = topology.Parse(topologies.DefaultFile, topologies.Default)
	}
	if err == nil && u.Nodes != nil {
		err = t.Spread(*u.Nodes)
	}
	if err == nil && u.Fidelity != "" {
		err = t.SetFidelity(u.Fidelity)
	}
	return t, err
}

// remains says what there is now, and how to go on or take it away.
func (u *upCmd) remains(ctx context.Context, c *cli, err error) error {
	if !errors.Is(err, lab.ErrInPieces) {
		return err // nothing was touched
	}
	if ctx.Err() != nil { // what it broke off is no news
		err = interruption{fmt.Errorf("lab %s %w", c.Lab, lab.ErrInPieces)}
	}
	return remedied{err, []string{
		"the same up again goes on from there",
		say(c, "status --watch") + " shows what is there",
		say(c, "down") + " takes it away",
	}}
}

// describeWaiting says for each node that is not managed what it waits for,
// since when, and where its log is.
func describeWaiting(w io.Writer, l *lab.Lab, rows []lab.Row) (count int) {
	for _, r := range rows {
		if r.Phase == lab.PhaseManaged {
			continue
		}
		count++
		n := l.Node(r.Name)
		if r.Status.Phase == "" {
			fmt.Fprintf(w, "%s: is %s, g8os_core does not answer; log: %s\n", r.Name, r.Phase, n.LogPath())
			continue
		}
		fmt.Fprintf(w, "%s: in phase %s, waits for %s since %s (%.0f s)", r.Name, r.Phase, r.Status.WaitsFor,
			r.Status.Since.Format(time.TimeOnly), time.Since(r.Status.Since).Seconds())
		if e := r.Status.LastError; e != "" && !strings.Contains(r.Status.WaitsFor, e) {
			fmt.Fprintf(w, "; last error: %s", r.Status.LastError)
		}
		fmt.Fprintf(w, "; log: %s\n", n.LogPath())
	}
	return count
}

// say is a command as the operator would type it for this lab.
func say(c *cli, rest string) string {
	flag := ""
	if c.Lab != lab.DefaultName {
		flag = " --lab " + c.Lab
	}
	return "bin/g8lab" + flag + " " + rest
}

// next says what to try now.
func next(w io.Writer, c *cli, l *lab.Lab, took time.Duration) {
	nodes := l.Nodes()
	fmt.Fprintf(w, "\nAll %d nodes are managed, %.1f s after the start.\n", len(nodes), took.Seconds())
	if len(nodes) == 0 {
		return
	}
	first, last := nodes[0].Name(), nodes[len(nodes)-1].Name()
	segment := nodes[0].Plan().Ports[0].Segment
	operator := "bin/g8os"
	if c.Lab != lab.DefaultName {
		operator += " --context " + c.Lab
	}
	fmt.Fprintf(w, "\nTry next:\n")
	for _, line := range [][2]string{
		{operator + " nodes", "the AC's view of it"},
		{operator + " exec " + first + " -- uname -a", "run it through the AC"},
		{say(c, "ssh "+first), "log in"},
		{say(c, "exec "+last+" -- g8os_core status"), "ask the node"},
		{say(c, "capture "+segment+" -w "+segment+".pcap"), "see the packets"},
		{say(c, "down"), "take it all away"},
	} {
		fmt.Fprintf(w, "  %-56s %s\n", line[0], line[1])
	}
}

// terminal reports whether output goes to one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && isTerminal(f)
}
