package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/table"
)

type rotateCmd struct {
	Unlock rotateNodesCmd  `cmd:"" help:"The AC's share of what opens nodes' volumes."`
	Cert   rotateNodesCmd  `cmd:"" help:"Nodes' client certificates and their keys."`
	SSH    rotateSSHCmd    `cmd:"" name:"ssh" help:"Nodes' ssh host keys."`
	CA     rotateACsCmd    `cmd:"" name:"ca" help:"The issuing CA; needs the root key in its place."`
	Server rotateACsCmd    `cmd:"" help:"The certificates of the ACs."`
	Master rotateACsCmd    `cmd:"" help:"The master key under which ACs seal secrets."`
	Status rotateStatusCmd `cmd:"" help:"How far rotations have come, and who still holds the old key."`
	Pause  rotatePauseCmd  `cmd:"" help:"Ask no more nodes; who was asked goes on."`
	Resume rotateResumeCmd `cmd:"" help:"Go on."`
}

func (rotateCmd) Help() string {
	return `Each rotation adds the new key, proves it, and only then removes the old one: whatever
is killed or cut off in between, every node boots. It goes on by itself, also after an AC
was started again; nodes that are away are rotated when they are back.

With --watch: exit status 0 once nobody holds the old key.

  g8os rotate unlock --all --watch
  g8os rotate cert office-1 office-2
  g8os rotate status`
}

// watching is what all that begin a rotation may do after it.
type watching struct {
	Watch  bool   `short:"w" help:"Go on, and show how far it has come, until it is over."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

type rotateNodesCmd struct {
	watching
	All  bool     `help:"All nodes that are enrolled."`
	Node []string `arg:"" optional:"" help:"Ids, MACs or host names."`
}

func (r *rotateNodesCmd) Run(s *session) error { return r.run(s, 0) }

type rotateSSHCmd struct {
	rotateNodesCmd
	Overlap time.Duration `help:"Offer both keys for this time first, so that clients learn the new one (OpenSSH's UpdateHostKeys)."`
}

func (r *rotateSSHCmd) Run(s *session) error { return r.run(s, r.Overlap) }

func (r *rotateNodesCmd) run(s *session, overlap time.Duration) error {
	switch {
	case len(r.Node) == 0 && !r.All:
		return exitError{exitUsage, errors.New("name nodes, or say --all")}
	case len(r.Node) > 0 && r.All:
		return exitError{exitUsage, errors.New("name nodes or say --all, not both")}
	}
	return r.begin(s, api.RotateRequest{Kind: s.kind(), Nodes: r.Node, OverlapMS: overlap.Milliseconds()})
}

type rotateACsCmd struct{ watching }

func (r *rotateACsCmd) Run(s *session) error { return r.begin(s, api.RotateRequest{Kind: s.kind()}) }

// kind is the rotation that the command line names.
func (s *session) kind() api.RotateKind { return api.RotateKind(s.command) }

func (w watching) begin(s *session, q api.RotateRequest) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := c.Rotate(s.ctx, q)
	if err != nil {
		return err
	}
	if !w.Watch {
		return show(s.stdout, w.Output, []api.Rotation{r})
	}
	return w.follow(s, c, func(all []api.Rotation) []api.Rotation {
		return slices.DeleteFunc(all, func(x api.Rotation) bool { return x.Kind != q.Kind })
	})
}

type rotateStatusCmd struct{ watching }

func (r *rotateStatusCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if r.Watch {
		return r.follow(s, c, func(all []api.Rotation) []api.Rotation { return all })
	}
	list, err := c.Rotations(s.ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 && r.Output == "table" {
		fmt.Fprintln(s.stderr, "nothing has been rotated by hand yet; certificates and the issuing CA are renewed by themselves")
	}
	return show(s.stdout, r.Output, list)
}

type rotateSetCmd struct {
	Kind   string `arg:"" enum:"unlock,cert,ssh,ca,server,master" help:"unlock, cert, ssh, ca, server or master."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

type (
	rotatePauseCmd  struct{ rotateSetCmd }
	rotateResumeCmd struct{ rotateSetCmd }
)

func (r *rotatePauseCmd) Run(s *session) error  { return r.do(s, true) }
func (r *rotateResumeCmd) Run(s *session) error { return r.do(s, false) }

func (r *rotateSetCmd) do(s *session, pause bool) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	call := c.ResumeRotation
	if pause {
		call = c.PauseRotation
	}
	now, err := call(s.ctx, api.RotateKind(r.Kind))
	if err != nil {
		return err
	}
	return show(s.stdout, r.Output, []api.Rotation{now})
}

// follow shows rotations at every change until all of them are over. It
// outlives an AC that is away, as the rotation does.
func (w watching) follow(s *session, c *client.Client, choose func([]api.Rotation) []api.Rotation) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before, told := "", false
	for {
		list, err := c.Rotations(s.ctx)
		lost := errors.Is(err, client.ErrUnreachable) || errors.Is(err, client.ErrLost)
		switch {
		case err != nil && (!lost || s.ctx.Err() != nil):
			return err
		case err != nil && !told:
			fmt.Fprintf(s.stderr, "g8os: %s; trying again until Ctrl-C\n", oneLine(err.Error()))
			told = true
		case err == nil:
			told = false
			list = choose(list)
			if before, err = w.changed(s.stdout, list, before); err != nil {
				return err
			}
			if !slices.ContainsFunc(list, func(r api.Rotation) bool { return r.Done == nil }) {
				return nil
			}
		}
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-tick.C:
		}
	}
}

// changed shows a list that differs from the one before: one line of JSON, or a
// table.
func (w watching) changed(out io.Writer, list []api.Rotation, before string) (string, error) {
	text, err := json.Marshal(list)
	if err != nil || string(text) == before {
		return before, err
	}
	if w.Output == "json" {
		_, err = fmt.Fprintln(out, string(text))
		return string(text), err
	}
	return string(text), show(out, w.Output, list)
}

func show(w io.Writer, output string, list []api.Rotation) error {
	if output == "json" {
		return writeJSON(w, list)
	}
	t := table.Table{Head: []string{"ROTATION", "STATE", "WAITING", "ADDED", "PROVED", "DONE", "STARTED"}}
	for _, r := range list {
		count := func(s api.RotateState) string { return fmt.Sprint(r.Counts[s]) }
		t.Rows = append(t.Rows, []string{
			string(r.Kind), rotationState(r), count(api.RotateWaiting), count(api.RotateAdded), count(api.RotateProved),
			count(api.RotateRemoved), r.Started.Local().Format(time.DateTime),
		})
	}
	if err := t.Print(w); err != nil {
		return err
	}
	return holders(w, list)
}

func rotationState(r api.Rotation) string {
	switch {
	case r.Done != nil:
		return "over"
	case r.Paused:
		return "paused"
	}
	return "under way"
}

// mostHolders bounds how many of those who still hold an old key the table
// names; JSON names all.
const mostHolders = 20

func holders(w io.Writer, list []api.Rotation) error {
	t := table.Table{Head: []string{"STILL HOLDS THE OLD ONE", "OF", "STATE", "WHY"}, Wraps: true}
	more := 0
	for _, r := range list {
		for i, h := range r.Holders {
			if r.Done != nil || i >= mostHolders {
				more++
				continue
			}
			t.Rows = append(t.Rows, []string{h.Name, string(r.Kind), string(h.State), orDash(h.Why)})
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	err := t.Print(w)
	if more > 0 {
		fmt.Fprintf(w, "and %d more (-o json names all)\n", more)
	}
	return err
}

// command is the word of the command line that a parsed command ends in.
func command(path string) string {
	for _, word := range strings.Fields(path) {
		if strings.HasPrefix(word, "<") || strings.HasPrefix(word, "[") {
			break
		}
		path = word
	}
	return path
}
