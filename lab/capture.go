package lab

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/topology"
)

// CaptureOptions bound a capture; 0 is no bound.
type CaptureOptions struct {
	Packets int
	For     time.Duration
	// Filter is an expression of tcpdump (pcap-filter(7)).
	Filter string
	// Began is called once packets are being taken; may be nil.
	Began func()
}

// Capture writes the packets of a node's NICs, an AC's legs, or a whole
// segment as a pcap stream, until a bound is reached or ctx ends. It returns
// how many there were.
func (l *Lab) Capture(ctx context.Context, target string, w io.Writer, o CaptureOptions) (packets int, err error) {
	if o.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.For)
		defer cancel()
	}
	if s, err := l.FindSegment(target); err == nil {
		return s.capture(ctx, w, o)
	}
	if err := l.CanCapture(target); err != nil {
		return 0, err
	}
	m, err := l.machine(target)
	if err != nil {
		return 0, err
	}
	if n, err := l.FindNode(target); err == nil && isVM(n.plan) {
		return n.captureMachine(ctx, w, o)
	}
	return l.tcpdump(ctx, m, "any", w, o)
}

// captureMachine takes what a VM sends and what is for it, from the segment of
// its first NIC: its own network is inside, where nothing is listened from.
func (n *Node) captureMachine(ctx context.Context, w io.Writer, o CaptureOptions) (int, error) {
	first := n.plan.Ports[0]
	for _, p := range n.plan.Ports[1:] {
		if p.Segment != first.Segment {
			return 0, fmt.Errorf("capture on %s: it is a machine on several segments; capture on one of them (%s), with --filter 'ether host %s' or so",
				n.Name(), first.Segment+", "+p.Segment, first.MAC)
		}
	}
	o.Filter = concerning(n.plan.Ports, o.Filter)
	return n.lab.Segment(first.Segment).capture(ctx, w, o)
}

// concerning is a filter for what NICs send and what is for them, and that
// passes another filter, if there is one.
func concerning(nics []topology.Port, filter string) string {
	var own []string
	for _, p := range nics {
		own = append(own, "ether host "+p.MAC)
	}
	all := "(" + strings.Join(append(own, "ether multicast"), " or ") + ")"
	if filter != "" {
		all += " and (" + filter + ")"
	}
	return all
}

// CanCapture says whether there is anything of that name to capture on.
func (l *Lab) CanCapture(target string) error {
	var names []string
	for _, n := range l.Nodes() {
		names = append(names, n.Name())
	}
	for _, a := range l.ACs() {
		names = append(names, a.Name())
	}
	names = append(names, l.Hosts()...)
	for _, s := range l.Segments() {
		names = append(names, s.Name())
	}
	if slices.Contains(names, target) {
		return nil
	}
	return unknown("node or segment", l.Name(), target, names)
}

// capture takes the segment's packets from a mirror port at the switch.
func (s *Segment) capture(ctx context.Context, w io.Writer, o CaptureOptions) (n int, err error) {
	sw, err := s.lab.fabric(s.Name())
	if err != nil {
		return 0, err
	}
	m, err := s.lab.machine(switchName(s.Name()))
	if err != nil {
		return 0, err
	}
	port, remove, err := sw.Tap(ctx, s.Name(), os.Getpid())
	if err != nil {
		return 0, err
	}
	defer func() {
		if e := remove(context.WithoutCancel(ctx)); err == nil {
			err = e
		}
	}()
	return s.lab.tcpdump(ctx, m, port, w, o)
}

// tcpdump runs until ctx ends, and then lets it write out what it has.
func (l *Lab) tcpdump(ctx context.Context, m *machine.Machine, nic string, w io.Writer, o CaptureOptions) (int, error) {
	argv := []string{"tcpdump", "-i", nic, "-n", "-s", "0", "-U", "-Z", "root", "-w", "-"}
	if o.Packets > 0 {
		argv = append(argv, "-c", strconv.Itoa(o.Packets))
	}
	if o.Filter != "" {
		argv = append(argv, o.Filter)
	}
	said := &sayings{began: o.Began}
	cmd, err := m.EnterNet(argv, func(c *exec.Cmd) {
		c.Stdout, c.Stderr = w, said
		c.WaitDelay = time.Second
		// Ctrl-C is for us: tcpdump is told once, by us.
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	})
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGINT) })
	defer stop()
	if err := cmd.Wait(); err != nil {
		return said.packets(), fmt.Errorf("capture on %s of %s: %w: %s", nic, m.Name, err, strings.TrimSpace(said.text.String()))
	}
	return said.packets(), nil
}

// sayings is what tcpdump says on stderr.
type sayings struct {
	text  strings.Builder
	began func()
}

func (s *sayings) Write(b []byte) (int, error) {
	s.text.Write(b)
	if s.began != nil && strings.Contains(s.text.String(), "listening on") {
		s.began()
		s.began = nil
	}
	return len(b), nil
}

// packets reads "17 packets captured".
func (s *sayings) packets() int {
	for line := range strings.Lines(s.text.String()) {
		count, rest, _ := strings.Cut(line, " ")
		if strings.HasPrefix(rest, "packet") && strings.Contains(rest, "captured") {
			n, _ := strconv.Atoi(count)
			return n
		}
	}
	return 0
}
