package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
)

// target is which nodes a job is for.
type target struct {
	Role []string `help:"On all nodes that have the role (g8os node role add)." placeholder:"ROLE"`
	All  bool     `help:"On all enrolled nodes."`
}

// flagged says whether flags say who is meant.
func (t target) flagged() bool { return t.All || len(t.Role) > 0 }

// operands are the words of a command line, without flags: those that were read
// before the tail, and the tail, which still has -- before it if that came after
// all of them. The first one is a node, or several with commas between, unless
// flags say who is meant; what is left is what to run.
func (t target) operands(tail []string, first ...string) (to api.Address, rest []string, err error) {
	words := first
	switch {
	case t.All && len(t.Role) > 0:
		return to, nil, exitError{exitUsage, errors.New("--all and --role: say one of them")}
	case t.flagged() && len(words) > 0 && len(tail) > 0 && tail[0] == "--":
		return to, nil, exitError{exitUsage, fmt.Errorf("%s before -- is a node, and --all or --role says which nodes already: say one of them", words[len(words)-1])}
	}
	words = append(words, tail...)
	if t.flagged() {
		return api.Address{Roles: t.Role, All: t.All}, words, nil
	}
	if len(words) == 0 || words[0] == "--" {
		return to, nil, exitError{exitUsage, errors.New("no node: want NODE, --role ROLE or --all")}
	}
	to.Nodes = strings.Split(words[0], ",")
	if slices.Contains(to.Nodes, "") {
		return to, nil, exitError{exitUsage, fmt.Errorf("%q: want NODE, or NODE,NODE,…", words[0])}
	}
	if rest = words[1:]; len(rest) > 0 && rest[0] == "--" {
		rest = rest[1:]
	}
	return to, rest, nil
}

// several says whether an address can mean more than one node: then it is shown
// so, however many it means today.
func several(to api.Address) bool { return to.All || len(to.Roles) > 0 || len(to.Nodes) > 1 }

// terms are how a job is to be run.
type terms struct {
	Timeout  time.Duration     `help:"Stop it after this time, for example 30s." placeholder:"TIME"`
	Queue    time.Duration     `help:"Wait so long for nodes that are away; without it they are left out." placeholder:"TIME"`
	Serial   string            `help:"Jobs of one NAME run one after the other on a node, in the order of their making." placeholder:"NAME"`
	Parallel int               `help:"On so many nodes at a time." placeholder:"N"`
	User     string            `help:"Run it as this user of the node (default root)." placeholder:"NAME"`
	Env      map[string]string `short:"e" help:"Set a variable for it." placeholder:"NAME=VALUE" mapsep:"none"`
	Dir      string            `short:"C" help:"Run it in this folder."`
}

// request is a job on these terms. Times are whole milliseconds, at least one.
func (t terms) request(to api.Address, e api.ExecRequest) (api.JobRequest, error) {
	switch {
	case t.Timeout < 0 || t.Queue < 0:
		return api.JobRequest{}, exitError{exitUsage, errors.New("--timeout and --queue: want a time above 0, such as 30s")}
	case t.Parallel < 0:
		return api.JobRequest{}, exitError{exitUsage, fmt.Errorf("--parallel %d: want 1 or more", t.Parallel)}
	}
	e.Env, e.Dir, e.User, e.TimeoutMS = t.Env, t.Dir, t.User, wholeMS(t.Timeout)
	return api.JobRequest{To: to, Exec: e, TTLMS: wholeMS(t.Queue), Queue: t.Serial, Parallel: t.Parallel}, nil
}

func wholeMS(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// leave says what becomes of a job when who made it goes away.
type leave struct {
	Detach bool   `short:"d" help:"Do not wait: print the job's id, and end."`
	Keep   bool   `help:"When interrupted, let it go on."`
	Output string `short:"o" enum:"text,json" default:"text" help:"text, or json: one event a line."`
}

type execCmd struct {
	target
	terms
	leave
	Node    *string  `arg:"" optional:"" help:"Id, MAC or host name; several with commas between."`
	Command []string `arg:"" optional:"" passthrough:"" help:"Command and arguments, after --."`
}

func (execCmd) Help() string {
	return `The command gets no input and no terminal (for those: g8os shell). Ctrl-C stops it, unless --keep.
If the connection or the AC is lost, it goes on, and so does its output once an AC answers.

One NODE: its output comes as it is. Exit status: that of the command; 128+N after signal N; 127 no
such program; 126 it cannot be run; 255 it was not run (no such node, node away, refused, …), or
nobody knows how it ended.

--role, --all, or several nodes: each line has the node's name before it, and at the end it says what
became of whom. Exit status: 0 it succeeded on all nodes; 1 not on all; 255 it ran on none.

  g8os exec office-1 -- uname -a
  g8os exec office-1 --timeout 30s -e LANG=C -- sh -c 'journalctl -f'
  g8os exec --role web --parallel 20 -- systemctl reload nginx
  g8os exec --all --queue 24h -d -- apt-get -y upgrade    # nodes that are away do it when they come back`
}

func (e *execCmd) Run(s *session) error {
	to, argv, err := e.operands(e.Command, given(e.Node)...)
	if err != nil {
		return err
	}
	if len(argv) == 0 || argv[0] == "" {
		return exitError{exitUsage, errors.New("no command: want g8os exec NODE|--role ROLE|--all -- COMMAND ARGUMENTS")}
	}
	req, err := e.request(to, api.ExecRequest{Argv: argv})
	if err != nil {
		return err
	}
	return s.do(req, e.leave)
}

// given are the words that there are.
func given(words ...*string) (all []string) {
	for _, w := range words {
		if w != nil {
			all = append(all, *w)
		}
	}
	return all
}

// do has a job made, and shows it to its end unless it is to be left alone.
func (s *session) do(req api.JobRequest, l leave) error {
	c, err := s.dial()
	if err != nil {
		return exitError{exitNotRun, err}
	}
	defer c.Close()
	if l.Detach {
		return s.hand(c, req, l.Output)
	}
	return newJobView(s, c, several(req.To), l).run(req)
}
