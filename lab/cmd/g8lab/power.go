package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/g8os/g8os/lab"
)

type powerCmd struct {
	Node string `arg:"" help:"Name of the node."`
	Do   string `arg:"" enum:"on,off,reset,pause,resume" help:"on, off, reset, pause or resume."`
}

func (p *powerCmd) Run(ctx context.Context, c *cli, std streams) error {
	n, err := c.node(p.Node)
	if err != nil {
		return err
	}
	switch p.Do {
	case "on":
		err = n.PowerOn(ctx)
	case "off":
		err = n.PowerCut(ctx)
	case "reset":
		err = n.Reset(ctx)
	case "pause":
		err = n.Pause(ctx)
	case "resume":
		err = n.Resume(ctx)
	}
	if err != nil {
		return fmt.Errorf("power %s of %s: %w", p.Do, p.Node, err)
	}
	said := map[string]string{
		"on": "has power and boots", "off": "has lost power; its disk stays", "reset": "was reset and boots",
		"pause": "stands still until " + say(c, "power "+p.Node+" resume"), "resume": "goes on",
	}
	_, err = fmt.Fprintf(std.out, "%s %s\n", p.Node, said[p.Do])
	return err
}

type nicCmd struct {
	Node string `arg:"" help:"Name of the node."`
	NIC  string `arg:"" name:"nic" help:"Its interface, for example eth0."`
	Do   string `arg:"" enum:"down,up,unplug,plug" help:"down or up: the cable; unplug or plug: the card."`
}

func (k *nicCmd) Run(ctx context.Context, c *cli, std streams) error {
	n, err := c.node(k.Node)
	if err != nil {
		return err
	}
	i, err := nicNumber(n, k.NIC)
	if err != nil {
		return err
	}
	switch k.Do {
	case "down", "up":
		err = n.SetCarrier(ctx, i, k.Do == "up")
	case "unplug":
		err = n.Unplug(ctx, i)
	case "plug":
		err = n.Plug(ctx, i)
	}
	if err != nil {
		return fmt.Errorf("%s of %s %s: %w", k.NIC, k.Node, k.Do, err)
	}
	said := map[string]string{
		"down": "has its cable pulled", "up": "has its cable back", "unplug": "is taken out", "plug": "is back in",
	}
	_, err = fmt.Fprintf(std.out, "%s of %s %s\n", k.NIC, k.Node, said[k.Do])
	return err
}

func nicNumber(n *lab.Node, name string) (int, error) {
	var names []string
	for _, p := range n.Plan().Ports {
		names = append(names, p.NIC)
	}
	i := slices.Index(names, name)
	if i < 0 {
		return 0, fmt.Errorf("node %s has no NIC %q; it has %s", n.Name(), name, strings.Join(names, ", "))
	}
	return i, nil
}
