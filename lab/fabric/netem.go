package fabric

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab/impair/link"
)

// Where the kernel has netem (tc-netem(8)), what is only late goes through a
// cable with netem on it instead of the shaper. The other kinds do not: the
// chances of netem are independent draws, of which one thousand in three is
// more than a tenth away from what was asked for, and no seed repeats them.

// maxLate is how many frames a cable holds at most.
const maxLate = 1 << 15

// isLate says whether netem does what a link is asked to.
func isLate(s link.Spec) bool { return s.Delay > 0 && s == link.Spec{Delay: s.Delay, Jitter: s.Jitter} }

// netem is the discipline that makes frames late: evenly from Delay to Delay
// and Jitter, which netem has as a middle and what is added to and taken off it.
func netem(index int, s link.Spec) netlink.Qdisc {
	middle, around := s.Delay+s.Jitter/2, s.Jitter/2
	return netlink.NewNetem(root(index), netlink.NetemQdiscAttrs{
		Latency: uint32(middle / time.Microsecond), Jitter: uint32(around / time.Microsecond), Limit: maxLate,
	})
}

func root(index int) netlink.QdiscAttrs {
	return netlink.QdiscAttrs{LinkIndex: index, Parent: netlink.HANDLE_ROOT, Handle: netlink.MakeHandle(1, 0)}
}

// kernelNetem is whether the kernel has netem, found out once by using it.
var kernelNetem struct {
	once sync.Once
	has  bool
	err  error
}

func (s *Switch) hasNetem() (bool, error) {
	k := &kernelNetem
	k.once.Do(func() {
		h, err := s.handle()
		if err != nil {
			k.err = err
			return
		}
		defer h.Close()
		c := cable{"netem-probe-a", "netem-probe-b"}
		err = c.lay(h, "", netem, link.Spec{Delay: time.Millisecond})
		k.has = err == nil
		if !k.has && !errors.Is(err, unix.ENOENT) {
			k.err = fmt.Errorf("find out whether the kernel has netem: %w", err)
		}
		k.err = errors.Join(k.err, c.remove(h))
	})
	return k.has, k.err
}

// cable is a veth pair inside the switch's namespace: what goes in at one end
// comes out late at the other.
type cable struct{ in, out string }

func cableOf(link string) cable {
	name := fmt.Sprintf("late%08x", uint32(seed(link)))
	return cable{name + "a", name + "b"}
}

// lay makes the cable, or the one there is, as late as asked. The alias of its
// near end says whose it is.
func (c cable) lay(h *netlink.Handle, alias string, qdisc func(int, link.Spec) netlink.Qdisc, spec link.Spec) error {
	near, err := h.LinkByName(c.in)
	if err != nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = c.in
		if err := h.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: c.out}); err != nil {
			return fmt.Errorf("cable %s: %w", c.in, err)
		}
		near, err = h.LinkByName(c.in)
	}
	var far netlink.Link
	if err == nil {
		far, err = h.LinkByName(c.out)
	}
	if err == nil {
		err = errors.Join(h.LinkSetAlias(near, alias), h.LinkSetUp(near), h.LinkSetUp(far))
	}
	if err != nil {
		return fmt.Errorf("cable %s: %w", c.in, err)
	}
	if err := h.QdiscReplace(qdisc(near.Attrs().Index, spec)); err != nil {
		return fmt.Errorf("make cable %s late: %w", c.in, err)
	}
	return nil
}

func (c cable) remove(h *netlink.Handle) error {
	near, err := h.LinkByName(c.in)
	if err != nil {
		return nil // there is none
	}
	return h.LinkDel(near)
}

// late lays the cables of links that are only late. A cable whose link is well
// again stays until the next change, for what it still holds.
func (s *Switch) late(ctx context.Context, segment string, wanted []pair, qdisc func(int, link.Spec) netlink.Qdisc) (map[string]conduit, error) {
	h, err := s.handle()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	had, err := cables(h, segment)
	if err != nil || len(had)+len(wanted) == 0 {
		return nil, err
	}
	args := []string{"ovs-vsctl", "--db=unix:" + s.socket(), "--timeout=10"}
	keep := map[string]cable{}
	for _, p := range wanted {
		c := cableOf(p.name())
		if err := c.lay(h, alias(segment, p.name(), false), qdisc, p.spec); err != nil {
			return nil, err
		}
		keep[p.name()] = c
		for _, end := range []string{c.in, c.out} {
			args = append(args, "--", "--may-exist", "add-port", Bridge(segment), end, "tag="+noFlood)
		}
	}
	var old []cable
	for _, l := range had {
		if _, again := keep[l.name]; again {
			continue
		}
		c := cableOf(l.name)
		if l.gone {
			old = append(old, c)
			args = append(args, "--", "--if-exists", "del-port", c.in, "--", "--if-exists", "del-port", c.out)
			continue
		}
		keep[l.name] = c
		if err := h.LinkSetAlias(l.link, alias(segment, l.name, true)); err != nil {
			return nil, err
		}
	}
	if len(wanted)+len(old) > 0 {
		if _, err := s.run(ctx, nil, args...); err != nil {
			return nil, err
		}
	}
	for _, c := range old {
		if err := c.remove(h); err != nil {
			return nil, err
		}
	}
	via, err := s.cablePorts(ctx, keep)
	for name, c := range via {
		c.gone = !slices.ContainsFunc(wanted, func(p pair) bool { return p.name() == name })
		via[name] = c
	}
	return via, err
}

// laid is a cable that is there.
type laid struct {
	link netlink.Link
	name string // of whose frames it makes late
	gone bool
}

// alias says of a cable what cables reads: there is no other record.
func alias(segment, name string, gone bool) string {
	state := "late"
	if gone {
		state = "gone"
	}
	return strings.Join([]string{"g8lab", state, segment, name}, " ")
}

func cables(h *netlink.Handle, segment string) ([]laid, error) {
	links, err := h.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list cables: %w", err)
	}
	var all []laid
	for _, l := range links {
		w := strings.Fields(l.Attrs().Alias)
		if len(w) == 4 && w[0] == "g8lab" && w[2] == segment {
			all = append(all, laid{l, w[3], w[1] == "gone"})
		}
	}
	return all, nil
}

// cablePorts reads the numbers of cables' ports back.
func (s *Switch) cablePorts(ctx context.Context, cables map[string]cable) (map[string]conduit, error) {
	out, err := s.run(ctx, nil, "ovs-vsctl", "--db=unix:"+s.socket(), "--format=json", "--columns=name,ofport", "list", "Interface")
	if err != nil {
		return nil, fmt.Errorf("list ports: %w", err)
	}
	var table struct {
		Data [][]json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal([]byte(out), &table); err != nil {
		return nil, fmt.Errorf("list ports: %w", err)
	}
	number := map[string]int{}
	for _, row := range table.Data {
		var name string
		var n int
		if len(row) == 2 && json.Unmarshal(row[0], &name) == nil && json.Unmarshal(row[1], &n) == nil {
			number[name] = n
		}
	}
	via := map[string]conduit{}
	for name, c := range cables {
		via[name] = conduit{in: number[c.in], out: number[c.out]}
		if via[name].in <= 0 || via[name].out <= 0 {
			return nil, fmt.Errorf("cable %s is not attached to the switch", c.in)
		}
	}
	return via, nil
}
