package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

type (
	drainCmd   struct{ oneCmd }
	undrainCmd struct{ oneCmd }
)

func (drainCmd) Help() string {
	return `What runs goes on. Jobs that wait for the node (--queue) go on waiting, until undrain or until
their time is over; others are refused. What g8os_core does itself (reboot, upgrade, facts) is
done all the same. After a reboot the node is still drained.

  g8os node drain office-1
  g8os job list --node office-1 --state running      # empty: nothing runs there any more
  g8os node reboot office-1 --wait
  g8os node undrain office-1`
}

func (d *drainCmd) Run(s *session) error { return d.do(s, (*client.Client).Drain) }

func (d *undrainCmd) Run(s *session) error { return d.do(s, (*client.Client).Undrain) }

type powerCmd struct {
	Node string `arg:"" help:"Id, MAC or host name."`
}

type (
	rebootCmd struct {
		powerCmd
		Wait    bool          `help:"Wait until it is managed again."`
		Timeout time.Duration `help:"How long to wait." default:"10m"`
	}
	poweroffCmd struct{ powerCmd }
)

func (rebootCmd) Help() string {
	return `Jobs and services are stopped, the volume is closed, then the machine goes. The command
returns when the node has said that it goes now.`
}

func (p *poweroffCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = p.ask(s, c, api.BuiltinPowerOff)
	return err
}

// ask has the node go down, and says that it does.
func (p powerCmd) ask(s *session, c *client.Client, b api.Builtin) (down api.GoingDown, err error) {
	var out bytes.Buffer
	code, err := c.Exec(s.ctx, p.Node, api.ExecRequest{Builtin: b}, client.ExecOptions{Keep: true, Stdout: &out})
	if err == nil && code != 0 {
		err = fmt.Errorf("%w: exit code %d", client.ErrJob, code)
	}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &down)
	}
	if err != nil {
		return down, err
	}
	fmt.Fprintf(s.stdout, "%s: %s, now\n", p.Node, down.How)
	return down, nil
}

func (r *rebootCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	before, err := c.Node(s.ctx, r.Node)
	if err != nil {
		return err
	}
	if _, err := r.ask(s, c, api.BuiltinReboot); err != nil || !r.Wait {
		return err
	}
	began, gone := time.Now(), false
	for time.Since(began) < r.Timeout {
		n, err := c.Node(s.ctx, string(before.ID))
		switch {
		case s.ctx.Err() != nil:
			return s.ctx.Err()
		case err != nil && !errors.Is(err, client.ErrUnreachable) && !errors.Is(err, client.ErrLost):
			return err
		case err == nil && n.Phase != "managed":
			gone = true
		case err == nil && gone:
			fmt.Fprintf(s.stdout, "%s: managed again after %s\n", r.Node, short(time.Since(began)))
			return nil
		}
		select {
		case <-s.ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s is not managed again after %s", r.Node, r.Timeout)
}
