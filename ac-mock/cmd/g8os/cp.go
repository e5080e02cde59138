package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/internal/table"
)

type cpCmd struct {
	Recursive bool     `short:"r" help:"Folders too, with all that is in them."`
	Output    string   `short:"o" enum:"table,json" default:"table" help:"table or json."`
	Places    []string `arg:"" name:"place" help:"One or more sources, then where to: files and folders here, or NODE:/PATH."`
}

func (cpCmd) Help() string {
	return `One side is on a node (NODE:/PATH), the other here; - is stdin or stdout. Into a folder
that exists, things come under their own names. Modes and times are kept, owners are
not. A file appears under its name only when all of it is there and its SHA-256 is that
of the source; a copy that breaks off leaves nothing. A link that has the file's name is
replaced, not followed.
Exit status: 0 all is copied; 1 something is not.

  g8os cp app.tar.gz office-1:/srv/
  g8os cp office-1:/var/log/g8os/core.log .
  g8os cp -r site/ office-1:/srv/www
  g8os cp office-1:/etc/hosts - | grep ac1`
}

// place is one end of a copy; node "": here.
type place struct{ node, path string }

func (p place) String() string {
	if p.node == "" {
		return p.path
	}
	return p.node + ":" + p.path
}

// placeOf reads NODE:/PATH or a path of this machine. NODE may be a MAC
// address.
func placeOf(s string) place {
	if node, rest, ok := strings.Cut(s, ":/"); ok && node != "" && !strings.Contains(node, "/") {
		return place{node, "/" + rest}
	}
	return place{path: s}
}

// sides are the sources and where to, of which one side is on a node.
func (c *cpCmd) sides() (from []place, to place, err error) {
	if len(c.Places) < 2 {
		return nil, to, errors.New("want g8os cp FROM… TO, one side of it NODE:/PATH")
	}
	to = placeOf(c.Places[len(c.Places)-1])
	for _, s := range c.Places[:len(c.Places)-1] {
		p := placeOf(s)
		switch {
		case p.node != "" && to.node != "":
			return nil, to, fmt.Errorf("%s and %s are both on nodes: copy it here first", p, to)
		case p.node == "" && to.node == "":
			return nil, to, fmt.Errorf("neither %s nor %s is on a node: want NODE:/PATH on one side", p, to)
		}
		from = append(from, p)
	}
	if len(from) > 1 { // then it must be a folder
		switch {
		case to.node == "" && to.path == "-":
			return nil, to, errors.New("several files do not go to stdout")
		default:
			to.path = strings.TrimSuffix(to.path, "/") + "/."
		}
	}
	return from, to, nil
}

func (c *cpCmd) Run(s *session) error {
	from, to, err := c.sides()
	if err != nil {
		return exitError{exitUsage, err}
	}
	cl, err := s.dial()
	if err != nil {
		return err
	}
	defer cl.Close()
	var done []client.Copied
	var failed []error
	for _, f := range from {
		p := newProgress(s.stderr, path.Base(f.path))
		one, err := c.one(s.ctx, s, cl, f, to, client.CopyOptions{Folders: c.Recursive, Progress: p.tell})
		p.clear()
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", f, err))
			if s.ctx.Err() != nil {
				break
			}
			continue
		}
		one.From, one.To = f.String(), to.String()
		done = append(done, one)
		if c.Output != "json" {
			c.said(s, one)
		}
	}
	if c.Output == "json" {
		if err := writeJSON(s.stdout, done); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

func (c *cpCmd) one(ctx context.Context, s *session, cl *client.Client, from, to place, o client.CopyOptions) (client.Copied, error) {
	switch {
	case to.node != "" && from.path == "-":
		return cl.PutFrom(ctx, to.node, s.stdin, to.path, o)
	case to.node != "":
		return cl.Put(ctx, to.node, filepath.Clean(from.path), to.path, o)
	case to.path == "-":
		return cl.GetTo(ctx, from.node, from.path, s.stdout, o)
	}
	return cl.Get(ctx, from.node, from.path, to.path, o)
}

// said tells what was copied: beside the data if that goes to stdout.
func (c *cpCmd) said(s *session, one client.Copied) {
	w := s.stdout
	if one.To == "-" {
		w = s.stderr
	}
	what := "sha256"
	if one.Folder {
		what = "sha256 of its tar stream"
	}
	fmt.Fprintf(w, "%s → %s  %s  %s %s\n", one.From, strings.TrimSuffix(one.To, "/."), table.Bytes(float64(one.Bytes)), what, one.SHA256)
	if one.Left > 0 {
		fmt.Fprintf(s.stderr, "g8os: %s: left out %d sockets, devices and pipes\n", one.From, one.Left)
	}
}
