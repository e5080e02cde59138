package real

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/topology"
)

// Nodes is where every node is now. One that is a machine and does not answer
// counts as not running.
func (g *Grid) Nodes(ctx context.Context) ([]grid.Node, error) {
	if err := g.refresh(); err != nil {
		return nil, err
	}
	nodes := g.lab.Nodes()
	all := make([]grid.Node, len(nodes))
	place := map[string]int{}
	for i, n := range nodes {
		place[n.Name()] = i
	}
	err := each(nodes, func(n *lab.Node) (err error) {
		all[place[n.Name()]], err = g.look(ctx, n)
		return err
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("nodes of lab %s: %w", g.lab.Name(), err)
	}
	g.notePhases(all)
	return all, nil
}

// look asks one node. That it does not answer is no error: it is what is.
func (g *Grid) look(ctx context.Context, n *lab.Node) (grid.Node, error) {
	plan := n.Plan()
	r := grid.Node{Name: n.Name(), MAC: n.MAC(0), Segment: plan.Ports[0].Segment, Powered: n.Powered(), Holdings: []grid.Holding{}}
	if !r.Powered {
		return r, nil
	}
	if !isVM(plan) {
		j, err := g.lab.Job(ctx, n.Name(), lab.CoreJob)
		if err != nil {
			return r, ignoreGone(n, err)
		}
		r.Running = j.Running()
		addresses, err := g.addresses(n)
		if err != nil {
			return r, ignoreGone(n, err)
		}
		r.Holdings = holdings(plan, addresses)
		if !r.Running {
			return r, nil
		}
	}
	s, err := n.Status(ctx)
	if err != nil {
		return r, nil
	}
	r.Status = s
	if isVM(plan) {
		r.Running = true
		r.Holdings = holdings(plan, g.addressesInside(ctx, n))
	}
	return r, nil
}

// ignoreGone drops the error of a node that has lost power meanwhile.
func ignoreGone(n *lab.Node, err error) error {
	if n.Powered() {
		return err
	}
	return nil
}

// address is one that an interface has.
type address struct {
	nic    string
	prefix netip.Prefix
}

// addresses reads a node's IPv4 addresses out of its network namespace.
func (g *Grid) addresses(n *lab.Node) ([]address, error) {
	proc, err := g.lab.Init(n.Name())
	if err != nil {
		return nil, err
	}
	ns, err := netns.GetFromPid(proc.PID)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	list, err := h.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	links, err := h.LinkList()
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	var all []address
	for _, a := range list {
		ip, ok := netip.AddrFromSlice(a.IP.To4())
		bits, _ := a.Mask.Size()
		if ok {
			all = append(all, address{names[a.LinkIndex], netip.PrefixFrom(ip, bits)})
		}
	}
	return all, nil
}

// addressesInside asks a machine for its IPv4 addresses; one that does not
// answer has none that could be told.
func (g *Grid) addressesInside(ctx context.Context, n *lab.Node) []address {
	text, err := g.inside(ctx, n, "ip", "-4", "-o", "address", "show")
	if err != nil {
		return nil
	}
	return parseAddresses(text)
}

// parseAddresses reads what ip -4 -o address show prints.
func parseAddresses(text string) []address {
	var all []address
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 4 || f[2] != "inet" {
			continue
		}
		if p, err := netip.ParsePrefix(f[3]); err == nil {
			all = append(all, address{strings.TrimSuffix(f[1], ":"), p})
		}
	}
	return all
}

// holdings are the addresses of NICs that are plugged into a segment.
func holdings(plan topology.Machine, addresses []address) []grid.Holding {
	all := []grid.Holding{}
	for _, a := range addresses {
		i := slices.IndexFunc(plan.Ports, func(p topology.Port) bool { return p.NIC == a.nic })
		if i >= 0 {
			all = append(all, grid.Holding{NIC: a.nic, Segment: plan.Ports[i].Segment, Address: a.prefix})
		}
	}
	return all
}

// phaseOf is what the history says of a node.
func phaseOf(n grid.Node) string {
	switch {
	case !n.Powered:
		return "off"
	case n.Status.Phase == "":
		return "down"
	}
	return n.Status.Phase
}

// notePhases notes which nodes have come into another phase since.
func (g *Grid) notePhases(nodes []grid.Node) {
	for _, n := range nodes {
		if now := phaseOf(n); g.phases[n.Name] != now {
			g.phases[n.Name] = now
			g.note(g.Elapsed(), n.Name, "phase", "%s", now)
		}
	}
}

// askAgain is how often Eventually asks.
func (g *Grid) askAgain() time.Duration {
	if g.Fidelity() == topology.Virtual {
		return 500 * time.Millisecond // each question takes time from the boots it waits for
	}
	return 100 * time.Millisecond
}

// Eventually lets time pass until holds says true, or until Slack times within
// has passed.
func (g *Grid) Eventually(ctx context.Context, within time.Duration, what string, holds func([]grid.Node) bool) error {
	patient := time.Duration(Slack(g.Fidelity())) * within
	limited, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	for {
		nodes, err := g.Nodes(ctx)
		if err != nil {
			return err
		}
		if holds(nodes) {
			return nil
		}
		if !wait(limited, g.askAgain()) {
			return fmt.Errorf("not within %s: %s; %s", patient, what, stand(nodes))
		}
	}
}

// maxShown bounds how many nodes an error tells of.
const maxShown = 10

// stand says where nodes are, those that are not managed first.
func stand(nodes []grid.Node) string {
	nodes = slices.Clone(nodes)
	slices.SortStableFunc(nodes, func(a, b grid.Node) int { return rank(a) - rank(b) })
	var all []string
	for i, n := range nodes {
		if i == maxShown {
			all = append(all, fmt.Sprintf("… (%d in all)", len(nodes)))
			break
		}
		text := n.Name + " is " + phaseOf(n)
		if n.Status.WaitsFor != "" {
			text += fmt.Sprintf(", waits for %q", n.Status.WaitsFor)
		}
		if n.Status.LastError != "" && !n.Managed() {
			text += fmt.Sprintf(", last error %q", n.Status.LastError)
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

func rank(n grid.Node) int {
	if n.Managed() {
		return 1
	}
	return 0
}
