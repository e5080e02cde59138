package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/lab/fabric"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/impair/link"
	"github.com/g8os/g8os/lab/impair/probe"
	"github.com/g8os/g8os/lab/topology"
)

// maxMeasure bounds how long marked frames are sent: a rate can be so low that
// a few of them take minutes.
const maxMeasure = 3 * time.Second

// end is a machine at an end of a link.
type end struct {
	plan topology.Machine
	port fabric.Attached
	mac  net.HardwareAddr
}

// Measure finds out what the link from one machine of the segment to another
// does, all that is wrong with it together. Of everybody, the first two that
// have power stand for all. A link that cannot be measured is no error, How says
// why.
func (s *Segment) Measure(ctx context.Context, from, to string) (grid.Measured, error) {
	a, b, err := s.ends(ctx, from, to)
	if err != nil {
		return notMeasured(err), ctx.Err()
	}
	e := probe.Ends{From: a.mac, To: b.mac}
	if e.Receive, err = s.receiver(b); err != nil {
		return notMeasured(err), ctx.Err()
	}
	defer e.Receive.Close()
	where, send, done, err := s.sender(ctx, a)
	if err != nil {
		return notMeasured(err), ctx.Err()
	}
	defer done()
	e.Send = send
	return measureLink(ctx, s.rules().Of(a.plan.Name, b.plan.Name), e, where+", to "+b.plan.Name)
}

func notMeasured(err error) grid.Measured {
	return grid.Measured{How: "the switch has confirmed its flows; not measured: " + err.Error()}
}

// ends picks who is to send and who is to receive.
func (s *Segment) ends(ctx context.Context, from, to string) (a, b end, err error) {
	sw, err := s.lab.fabric(s.Name())
	if err != nil {
		return a, b, err
	}
	ports, err := sw.Ports(ctx)
	if err != nil {
		return a, b, err
	}
	var all []end
	for _, m := range slices.Concat(s.lab.nodes(), s.lab.st.Plan.ACs, s.lab.st.Plan.DHCP, s.lab.hosts()) {
		if _, err := s.lab.machine(m.Name); err != nil {
			continue
		}
		i := slices.IndexFunc(ports, func(p fabric.Attached) bool {
			return p.Machine == m.Name && p.Segment == s.Name() && p.Number > 0
		})
		if i < 0 {
			continue
		}
		if mac, err := net.ParseMAC(ports[i].MAC); err == nil {
			all = append(all, end{m, ports[i], mac})
		}
	}
	for _, x := range all {
		for _, y := range all {
			if x.plan.Name != y.plan.Name && (from == "" || from == x.plan.Name) && (to == "" || to == y.plan.Name) {
				return x, y, nil
			}
		}
	}
	return a, b, fmt.Errorf("no two machines with power are at the ends of %s", direction(from, to))
}

// receiver listens inside the machine's network, or before the tap of a
// virtual one, where frames leave the switch.
func (s *Segment) receiver(b end) (*probe.Socket, error) {
	name, iface := b.plan.Name, b.port.NIC
	if isVM(b.plan) {
		name, iface = switchName(s.Name()), b.port.Name()
	}
	m, err := s.lab.machine(name)
	if err != nil {
		return nil, err
	}
	sock, err := probe.Open(m.NetNS(), iface, isVM(b.plan))
	if err != nil {
		return nil, fmt.Errorf("receive at %s: %w", b.plan.Name, err)
	}
	return sock, nil
}

// sender sends from inside the machine's network. A virtual machine's frames,
// and those of a NIC that is down, are put into the switch as if they came from
// it.
func (s *Segment) sender(ctx context.Context, a end) (where string, send func([]byte) error, done func(), err error) {
	if !isVM(a.plan) {
		m, err := s.lab.machine(a.plan.Name)
		if err != nil {
			return "", nil, nil, err
		}
		sock, err := probe.Open(m.NetNS(), a.port.NIC, false)
		if err == nil {
			return "from inside " + a.plan.Name, sock.Send, sock.Close, nil
		}
		if !errors.Is(err, probe.ErrDown) {
			return "", nil, nil, fmt.Errorf("send from %s: %w", a.plan.Name, err)
		}
	}
	sw, err := s.lab.fabric(s.Name())
	if err != nil {
		return "", nil, nil, err
	}
	in, err := sw.Inject(ctx, a.port)
	if err != nil {
		return "", nil, nil, err
	}
	return "put in at the switch's port of " + a.plan.Name, in.Send, in.Close, nil
}

// measureLink sends marked frames, and more of them to find out a rate.
func measureLink(ctx context.Context, spec link.Spec, e probe.Ends, where string) (grid.Measured, error) {
	plan := probe.PlanFor(spec)
	if plan.Gap*time.Duration(plan.Frames) > maxMeasure {
		return notMeasured(fmt.Errorf("%d frames would take %s at %s", plan.Frames, plan.Gap*time.Duration(plan.Frames), spec)), nil
	}
	r, err := probe.Run(ctx, plan, e)
	if err != nil {
		return notMeasured(err), ctx.Err()
	}
	m := grid.Measured{Packets: r.Sent, Delay: fault.Duration(r.Delay), Percent: percent(spec, r)}
	m.How = fmt.Sprintf("%d frames %s: %s", r.Sent, where, describe(r))
	if spec.Rate == 0 || spec.Dead() {
		return m, nil
	}
	plan = probe.RatePlan(spec)
	if plan.Gap*time.Duration(plan.Frames) > maxMeasure {
		m.How += "; the rate is not measured, that would take " + (plan.Gap * time.Duration(plan.Frames)).String()
		return m, nil
	}
	if r, err = probe.Run(ctx, plan, e); err != nil {
		return notMeasured(err), ctx.Err()
	}
	m.Packets += r.Sent
	m.Rate = fault.Rate(r.Rate)
	m.How += fmt.Sprintf("; of %d more, sent at twice the rate, %d arrived at %s", r.Sent, r.Arrived, m.Rate)
	return m, nil
}

// percent is that of the first kind that was asked for, in the order of the
// fault's vocabulary.
func percent(s link.Spec, r probe.Result) float64 {
	switch {
	case s.Loss > 0:
		return probe.Percent(r.Lost(), r.Sent)
	case s.Duplicate > 0:
		return probe.Percent(r.Twice, r.Arrived)
	case s.Reorder > 0:
		return probe.Percent(r.Overtaken, r.Arrived)
	case s.Corrupt > 0:
		return probe.Percent(r.Damaged, r.Arrived+r.Twice)
	}
	return 0
}

func describe(r probe.Result) string {
	words := []string{fmt.Sprintf("%d lost", r.Lost())}
	for _, w := range []struct {
		n    int
		what string
	}{{r.Twice, "twice"}, {r.Overtaken, "overtaken"}, {r.Damaged, "damaged"}} {
		if w.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", w.n, w.what))
		}
	}
	if r.Arrived > 0 {
		const exact = 10 * time.Microsecond
		words = append(words, fmt.Sprintf("%s late (%s to %s)", r.Delay.Round(exact), r.Least.Round(exact), r.Most.Round(exact)))
	}
	return strings.Join(words, ", ")
}
