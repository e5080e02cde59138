package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/g8os/g8os/core/api"
)

// Row is one node in the lab's status.
type Row struct {
	Name           string `json:"name"`
	MAC            string `json:"mac"`
	Segment        string `json:"segment"`
	Fidelity       string `json:"fidelity"`
	Phase          string `json:"phase"` // a phase, off (no power), paused, or down (g8os_core does not answer)
	Way            string `json:"way"`
	Address        string `json:"address"`
	Controller     string `json:"controller"`
	ManagedAfterMS int64  `json:"managed_after_ms"`

	// Status is the whole of what the node says; zero when off or down.
	Status api.Status `json:"-"`
}

// Report is the status of a lab.
type Report struct {
	Lab   string `json:"lab"`
	Nodes []Row  `json:"nodes"`
}

// PhaseManaged is the last phase: the node does as it is told.
const PhaseManaged = "managed"

const phaseDown = "down"

// Managed reports whether every node is managed.
func (r Report) Managed() bool {
	return !slices.ContainsFunc(r.Nodes, func(n Row) bool { return n.Phase != PhaseManaged })
}

// Powered is how many nodes have power, whatever phase they are in.
func (l *Lab) Powered() (count int) {
	for _, n := range l.Nodes() {
		if n.Powered() {
			count++
		}
	}
	return count
}

// Powered reports whether the node has power.
func (n *Node) Powered() bool {
	_, err := n.lab.machine(n.Name())
	return err == nil
}

// Status asks every node, all at once.
func (l *Lab) Status(ctx context.Context) Report {
	nodes := l.Nodes()
	r := Report{Lab: l.Name(), Nodes: make([]Row, len(nodes))}
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { r.Nodes[i] = n.row(ctx) })
	}
	all.Wait()
	return r
}

func (n *Node) row(ctx context.Context) Row {
	if r := n.rowDown(); r.Phase == phaseDown && n.Paused(ctx) { // it would not answer
		r.Phase = "paused"
		return r
	}
	s, err := n.Status(ctx)
	if err != nil {
		return n.rowDown()
	}
	return n.Row(s)
}

// Row is how a node stands by a status of its own.
func (n *Node) Row(s api.Status) Row {
	r := n.rowDown()
	r.Phase, r.Way, r.Address, r.Controller = s.Phase, s.Way, s.Address, s.Controller
	r.ManagedAfterMS, r.Status = s.ManagedAfterMS, s
	for _, p := range n.plan.Ports {
		if p.NIC == s.Interface {
			r.Segment = p.Segment
		}
	}
	return r
}

func (n *Node) rowDown() Row {
	phase := phaseDown
	if !n.Powered() {
		phase = "off"
	}
	return Row{Name: n.Name(), MAC: n.MAC(0), Segment: n.plan.Ports[0].Segment, Fidelity: n.plan.Fidelity, Phase: phase}
}

// answersIn is how long an answer may take: a virtual machine that is emulated
// beside many others is late, not down.
func (n *Node) answersIn() time.Duration {
	if isVM(n.plan) {
		return 10 * time.Second
	}
	return 2 * time.Second
}

// Status asks g8os_core.
func (n *Node) Status(ctx context.Context) (api.Status, error) {
	limited, cancel := context.WithTimeout(ctx, n.answersIn())
	defer cancel()
	var s api.Status
	err := n.stream(limited, "/status", func(d *json.Decoder) error { return d.Decode(&s) })
	switch {
	case err != nil && ctx.Err() == nil && limited.Err() != nil:
		err = fmt.Errorf("g8os_core does not answer within %s", n.answersIn())
	case errors.Is(err, io.EOF): // the relay of a VM has nobody to speak to
		err = fmt.Errorf("g8os_core does not answer: the node boots, or it starts again (%w)", err)
	}
	if err != nil {
		return s, fmt.Errorf("status of node %s: %w", n.Name(), err)
	}
	return s, nil
}

// Watch calls see with the status now and on every change, through restarts
// of g8os_core and power cuts, until ctx ends or see returns false. ok is
// false while the node does not answer.
func (n *Node) Watch(ctx context.Context, see func(s api.Status, ok bool) bool) {
	done := false
	for !done && ctx.Err() == nil {
		_ = n.stream(ctx, "/status?watch=1", func(d *json.Decoder) error {
			for {
				var s api.Status
				if err := d.Decode(&s); err != nil {
					return err
				}
				if done = !see(s, true); done {
					return nil
				}
			}
		})
		if done || ctx.Err() != nil {
			return
		}
		if done = !see(api.Status{}, false); !done {
			pause(ctx, n.askAgain())
		}
	}
}

// askAgain is how long a node that does not answer is left alone: in a virtual
// machine each question takes time from the boot it waits for.
func (n *Node) askAgain() time.Duration {
	if isVM(n.plan) {
		return 400 * time.Millisecond
	}
	return 100 * time.Millisecond
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// stream reads JSON from the node's local socket.
func (n *Node) stream(ctx context.Context, path string, read func(*json.Decoder) error) error {
	var d net.Dialer
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", n.Socket())
		},
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://node"+path, nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("GET %s: %s: %s", path, resp.Status, text)
	}
	return read(json.NewDecoder(resp.Body))
}

// WaitFor returns once the node's status fulfils a condition. The error says
// what was waited for and what the node waits for itself.
func (n *Node) WaitFor(ctx context.Context, what string, holds func(api.Status) bool) (api.Status, error) {
	var last api.Status
	var held, answered bool
	n.Watch(ctx, func(s api.Status, ok bool) bool {
		if ok {
			last, answered = s, true
		}
		held = ok && holds(s)
		return !held
	})
	if held {
		return last, nil
	}
	if !answered {
		return last, fmt.Errorf("node %s: wait for %s: g8os_core never answered: %w (log: %s)", n.Name(), what, ctx.Err(), n.LogPath())
	}
	return last, fmt.Errorf("node %s: wait for %s: %w; it is in phase %s, waiting for %s since %s, last error %q (log: %s)",
		n.Name(), what, ctx.Err(), last.Phase, last.WaitsFor, last.Since.Format(time.TimeOnly), last.LastError, n.LogPath())
}

// WaitManaged returns once the node is managed.
func (n *Node) WaitManaged(ctx context.Context) (api.Status, error) {
	return n.WaitFor(ctx, "managed", func(s api.Status) bool { return s.Phase == PhaseManaged })
}

// WaitManaged returns once every node is managed.
func (l *Lab) WaitManaged(ctx context.Context) error {
	nodes := l.Nodes()
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { _, errs[i] = n.WaitManaged(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}
