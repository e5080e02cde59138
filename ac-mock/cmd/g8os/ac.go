package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

type acCmd struct {
	List   acListCmd   `cmd:"" help:"List the ACs: who serves, who leads the store, who has 10.254.254.254 where."`
	Add    acAddCmd    `cmd:"" help:"Let one more AC join. It is started then, with etcd.join in its ac.toml and the grid's keys."`
	Remove acRemoveCmd `cmd:"" help:"Take an AC out for good: one that is lost, or that is to go."`
	Drain  acDrainCmd  `cmd:"" help:"Send an AC's nodes to the others, before it is stopped."`
}

type acListCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

func (a *acListCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	list, err := c.ACs(s.ctx)
	if err != nil {
		return err
	}
	if a.Output == "json" {
		return writeJSON(s.stdout, list)
	}
	return acTable(s.stdout, list)
}

func acTable(w io.Writer, list []api.AC) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "AC\tSTATE\tLEADS\tSESSIONS\tURL\tPEER URL\tFALLBACK ON")
	for _, ac := range list {
		leads := "-"
		if ac.Leader {
			leads = "yes"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", ac.Name, ac.State, leads, ac.Sessions,
			orDash(ac.URL), orDash(ac.PeerURL), orDash(strings.Join(ac.Holds, ", ")))
	}
	return t.Flush()
}

type acAddCmd struct {
	Name    string `arg:"" help:"Name of the new AC, as in its ac.toml."`
	PeerURL string `arg:"" name:"peer-url" help:"https://IP:PORT where the others reach it: etcd.peer_url of its ac.toml."`
}

func (a *acAddCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	ac, err := c.AddAC(s.ctx, api.NewAC{Name: a.Name, PeerURL: a.PeerURL})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "%s may join. Copy the master key and peers/{ca.key,ca.pem} to it, put\n\n  [etcd]\n  peer_url = %q\n  join = [ … peer URLs of the others … ]\n\ninto its ac.toml, and start it. It votes once it has caught up (g8os ac list).\n", ac.Name, ac.PeerURL)
	return err
}

type acRemoveCmd struct {
	Name string `arg:"" help:"Name of the AC."`
}

func (a *acRemoveCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	left, err := c.RemoveAC(s.ctx, a.Name)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "%s is removed; %d ACs are left\n", a.Name, len(left))
	return err
}

type acDrainCmd struct {
	Name string        `arg:"" help:"Name of the AC."`
	Undo bool          `help:"Let it serve again."`
	Wait time.Duration `default:"1m" help:"How long to wait until its nodes have gone. 0: not at all."`
}

func (a *acDrainCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	ac, err := c.DrainAC(s.ctx, a.Name, !a.Undo)
	if err != nil {
		return err
	}
	if a.Undo || a.Wait == 0 {
		_, err = fmt.Fprintf(s.stdout, "%s is %s\n", ac.Name, ac.State)
		return err
	}
	return a.gone(s, c)
}

// gone waits until the AC has no sessions any more.
func (a *acDrainCmd) gone(s *session, c *client.Client) error {
	end := time.After(a.Wait)
	for {
		list, err := c.ACs(s.ctx)
		if err != nil {
			return err
		}
		left := sessionsOf(list, a.Name)
		if left == 0 {
			_, err = fmt.Fprintf(s.stdout, "%s is drained: it has no sessions and may be stopped\n", a.Name)
			return err
		}
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-end:
			return fmt.Errorf("%s has %d sessions after %s; it goes on draining: g8os ac list", a.Name, left, a.Wait)
		case <-time.After(retry / 4):
		}
	}
}

func sessionsOf(list []api.AC, name string) int {
	for _, ac := range list {
		if ac.Name == name && ac.State != api.ACDown {
			return ac.Sessions
		}
	}
	return 0
}
