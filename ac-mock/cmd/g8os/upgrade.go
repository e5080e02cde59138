package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/table"
)

type upgradeCmd struct {
	Core   upgradeCoreCmd   `cmd:"" help:"Bring a signed g8os_core to nodes."`
	Status upgradeStatusCmd `cmd:"" help:"How far the last upgrade has come, and who is where."`
	Pause  upgradePauseCmd  `cmd:"" help:"Begin no more nodes until resume."`
	Resume upgradeResumeCmd `cmd:"" help:"Let a paused or halted upgrade go on."`
	Halt   upgradeHaltCmd   `cmd:"" help:"End the upgrade: who has not begun stays as it is."`
	Sign   upgradeSignCmd   `cmd:"" help:"Sign a g8os_core, on a machine that has the release key."`
	Key    upgradeKeyCmd    `cmd:"" help:"Make a release key."`
}

func (upgradeCmd) Help() string {
	return `A node takes a g8os_core only if it is signed with a key that is pinned on it
(/etc/g8os/release.pub). The new one has to prove itself, by being managed again in time;
otherwise the node takes the old one back by itself. Jobs and services go on meanwhile.

  g8os upgrade key release.key
  g8os upgrade sign g8os_core --key release.key
  g8os upgrade core g8os_core --all --canary 2 --step 10% --pause 5m --watch
  g8os upgrade status`
}

type upgradeCoreCmd struct {
	watchingUpgrade
	File           string        `arg:"" type:"existingfile" help:"The g8os_core; its signature is beside it, in FILE.sig."`
	Node           []string      `arg:"" optional:"" help:"Ids, MACs or host names."`
	All            bool          `help:"All nodes that are enrolled."`
	Role           []string      `help:"Nodes that have this role."`
	Canary         int           `help:"How many nodes come first, alone." default:"1"`
	Step           string        `help:"How many percent of the nodes each step after them has." default:"10%"`
	Pause          time.Duration `help:"Time between two steps." default:"1m"`
	HaltAfter      int           `help:"After so many failures nobody new is begun; 0: never." default:"1"`
	Prove          time.Duration `help:"Time within which a node has to be managed again." default:"2m"`
	AllowDowngrade bool          `help:"Also if it is older than what a node runs."`
}

func (u *upgradeCoreCmd) Run(s *session) error {
	q, err := u.request()
	if err != nil {
		return exitError{exitUsage, err}
	}
	r, err := readRelease(u.File + signatureSuffix)
	if err != nil {
		return err
	}
	file, err := os.Open(u.File)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := isRelease(file, r); err != nil {
		return err
	}
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	known, err := c.AddRelease(s.ctx, r)
	if err != nil {
		return err
	}
	if !known.Have {
		fmt.Fprintf(s.stderr, "bringing %s to the AC (%d MiB)\n", r.Version, r.Size>>20)
		if err := c.SendRelease(s.ctx, r, file); err != nil {
			return err
		}
	}
	q.Sum = r.Sum
	begun, err := c.Upgrade(s.ctx, q)
	if err != nil {
		return err
	}
	return u.show(s, c, begun)
}

func (u *upgradeCoreCmd) request() (q api.UpgradeRequest, err error) {
	var percent int
	if n, err := fmt.Sscanf(u.Step, "%d%%", &percent); n != 1 || err != nil || fmt.Sprintf("%d%%", percent) != u.Step {
		return q, fmt.Errorf("--step %s: want a percentage, such as 10%%", u.Step)
	}
	to := api.Address{Nodes: u.Node, Roles: u.Role, All: u.All}
	if len(u.Node)+len(u.Role) == 0 && !u.All {
		return q, errors.New("name nodes or a --role, or say --all")
	}
	if u.All && len(u.Node)+len(u.Role) > 0 {
		return q, errors.New("name nodes or roles, or say --all, not both")
	}
	return api.UpgradeRequest{
		To: to, Canary: u.Canary, StepPercent: percent, PauseMS: u.Pause.Milliseconds(), HaltAfter: u.HaltAfter,
		AllowDowngrade: u.AllowDowngrade, ProveMS: u.Prove.Milliseconds(),
	}, nil
}

type watchingUpgrade struct {
	Watch  bool   `short:"w" help:"Go on, and show how far it has come, until it is over. Exit status 1 unless every node has it."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

type upgradeStatusCmd struct{ watchingUpgrade }

func (u *upgradeStatusCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	now, err := c.UpgradeStatus(s.ctx)
	if err != nil {
		return err
	}
	return u.show(s, c, now)
}

type upgradeSetCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

type (
	upgradePauseCmd  struct{ upgradeSetCmd }
	upgradeResumeCmd struct{ upgradeSetCmd }
	upgradeHaltCmd   struct{ upgradeSetCmd }
)

// Run tells the upgrade what the command line's last word is.
func (u *upgradeSetCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	now, err := c.SetUpgrade(s.ctx, s.command)
	if err != nil {
		return err
	}
	return printUpgrade(s.stdout, u.Output, now)
}

// show prints an upgrade, and with --watch every change until it is over. It
// outlives an AC that is away, as the upgrade does.
func (w watchingUpgrade) show(s *session, c *client.Client, u api.Upgrade) error {
	if !w.Watch {
		return printUpgrade(s.stdout, w.Output, u)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before, told := "", false
	for {
		text, err := json.Marshal(u)
		if err != nil {
			return err
		}
		if string(text) != before {
			before = string(text)
			if err := w.print(s.stdout, u); err != nil {
				return err
			}
		}
		if u.State == "done" || u.State == "halted" && u.Counts[api.UpgradeUnderWay] == 0 {
			return whole(u)
		}
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-tick.C:
		}
		switch next, err := c.UpgradeStatus(s.ctx); {
		case err == nil:
			u, told = next, false
		case !errors.Is(err, client.ErrUnreachable) && !errors.Is(err, client.ErrLost) || s.ctx.Err() != nil:
			return err
		case !told:
			fmt.Fprintf(s.stderr, "g8os: %s; trying again until Ctrl-C\n", oneLine(err.Error()))
			told = true
		}
	}
}

func (w watchingUpgrade) print(out io.Writer, u api.Upgrade) error {
	if w.Output == "json" { // one line a change
		return json.NewEncoder(out).Encode(u)
	}
	return printUpgrade(out, w.Output, u)
}

// whole says whether every node has the new version.
func whole(u api.Upgrade) error {
	if n := len(u.Nodes) - u.Counts[api.UpgradeProved]; n > 0 {
		return fmt.Errorf("%d of %d nodes do not run %s: the upgrade is %s: %s", n, len(u.Nodes), u.Release.Version, u.State, orDash(u.Why))
	}
	return nil
}

func printUpgrade(out io.Writer, output string, u api.Upgrade) error {
	if output == "json" {
		return writeJSON(out, u)
	}
	fmt.Fprintf(out, "%s: g8os_core %s is %s, step %d of %d", u.ID, u.Release.Version, u.State, u.Step+1, u.Steps)
	if u.Why != "" {
		fmt.Fprintf(out, " (%s)", u.Why)
	}
	fmt.Fprintln(out)
	t := table.Table{Head: []string{"NODE", "STEP", "STATE", "WHY"}, Wraps: true}
	for _, n := range u.Nodes {
		t.Rows = append(t.Rows, []string{n.Name, fmt.Sprint(n.Step + 1), string(n.State), orDash(n.Why)})
	}
	return t.Print(out)
}
