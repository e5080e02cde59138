package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/fabric"
	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/record"
	"github.com/g8os/g8os/lab/topology"
)

// coreJob is g8os_core among a node's processes.
const coreJob = "g8os_core"

// Node is a virtual node running g8os_core.
type Node struct {
	lab  *Lab
	plan topology.Machine
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr string
	Code           int // 128+n after signal n
}

// Name of the node, also its host name.
func (n *Node) Name() string { return n.plan.Name }

// MAC of a NIC by number, in canonical form; the first selects the node's record at the AC.
func (n *Node) MAC(nic int) string { return n.plan.Ports[nic].MAC }

// ID is the node's name at the AC.
func (n *Node) ID() api.NodeID { return must(api.IDOf(n.MAC(0))) }

// Plan is what the topology says of the node.
func (n *Node) Plan() topology.Machine { return n.plan }

// Disk is the directory that is /etc/g8os inside, and survives a power cut.
func (n *Node) Disk() string { return n.lab.diskDir(n.Name()) }

// LogPath is the log of g8os_core.
func (n *Node) LogPath() string { return filepath.Join(n.lab.LogDir(), n.Name()+".log") }

// Socket is the path of /var/run/core.sock as the host sees it.
func (n *Node) Socket() string { return filepath.Join(n.lab.machineDir(n.Name()), "run", "core.sock") }

// body is what a node is made of; there is one for each fidelity.
type body interface {
	// furnish readies the node's disk for power: what an image or a stick has
	// is put there, what is there stays.
	furnish() error
	// start lets g8os_core of a node with power go, its clock off by skew,
	// unless it runs.
	start(ctx context.Context, skew time.Duration) error
	// core says whether g8os_core runs, or how it ended.
	core(ctx context.Context) (machine.State, error)
	// signal reaches g8os_core and nothing it has started; wait is for its end.
	signal(ctx context.Context, sig syscall.Signal, wait bool) error
	// writeFile replaces a file of /etc/g8os.
	writeFile(ctx context.Context, name, text string) error
	// enter starts a command inside; it is the caller's child.
	enter(argv []string, tty bool, prepare func(*exec.Cmd)) (*exec.Cmd, error)

	setCarrier(ctx context.Context, p fabric.Port, on bool) error
	unplug(ctx context.Context, p fabric.Port) error
	plug(ctx context.Context, p fabric.Port) error

	freeze(ctx context.Context, frozen bool) error // all of it, as a hypervisor does
	frozen(ctx context.Context) bool               // as far as can be told from outside
	console(ctx context.Context) (net.Conn, error)
	reset(ctx context.Context) error // the button: no power lost, nothing flushed
}

func (n *Node) body() body {
	if n.plan.Fidelity == topology.Virtual {
		return vmBody{n}
	}
	return netnsBody{n}
}

// files are what an image or a stick has for the node: net.toml and the pinned CA.
func (n *Node) files() (map[string][]byte, error) {
	ca, err := os.ReadFile(n.lab.ACs()[0].CAPath())
	if err != nil {
		return nil, fmt.Errorf("pinned CA for node %s: %w", n.Name(), err)
	}
	release, err := n.lab.releaseKey()
	if err != nil {
		return nil, fmt.Errorf("release key for node %s: %w", n.Name(), err)
	}
	return map[string][]byte{"ca.pem": ca, "release.pub": release, "net.toml": []byte(n.plan.NetTOML)}, nil
}

// StartCore starts g8os_core unless it runs.
func (n *Node) StartCore(ctx context.Context) error {
	return n.StartCoreWith(ctx, n.plan.Clock)
}

// StartCoreWith starts g8os_core with its clock off by skew, unless it runs.
func (n *Node) StartCoreWith(ctx context.Context, skew time.Duration) error {
	return n.body().start(ctx, skew)
}

// KillCore sends a signal to g8os_core, to nothing it has started; with
// SIGKILL and SIGTERM it waits for the end. PID 1 of a VM starts it again.
func (n *Node) KillCore(ctx context.Context, sig syscall.Signal) error {
	return n.body().signal(ctx, sig, sig == syscall.SIGKILL || sig == syscall.SIGTERM)
}

// RestartCore kills g8os_core with SIGKILL, if it runs, and starts it again.
func (n *Node) RestartCore(ctx context.Context) error {
	st, err := n.Core(ctx)
	if err != nil {
		return err
	}
	if st.Running {
		if err := n.KillCore(ctx, syscall.SIGKILL); err != nil {
			return err
		}
	}
	return n.StartCore(ctx)
}

// Core says whether g8os_core runs, or how it ended.
func (n *Node) Core(ctx context.Context) (machine.State, error) { return n.body().core(ctx) }

// PowerCut ends every process of the node at once. Its disk stays.
func (n *Node) PowerCut(ctx context.Context) error {
	n.lab.mu.Lock()
	m := n.lab.machines[n.Name()]
	n.lab.mu.Unlock()
	if m == nil {
		return nil
	}
	if err := n.lab.rec.Note(record.Event{Time: now(), Kind: "off", Machine: n.Name()}); err != nil {
		return err
	}
	return m.PowerOff(ctx)
}

// PowerOn boots the node again, with what is on its disk.
func (n *Node) PowerOn(ctx context.Context) error {
	if err := n.PowerOnHeld(ctx); err != nil {
		return err
	}
	return n.StartCore(ctx)
}

// PowerOnHeld boots the node without starting g8os_core.
func (n *Node) PowerOnHeld(ctx context.Context) error {
	if err := n.body().furnish(); err != nil {
		return err
	}
	return n.lab.power(ctx, []topology.Machine{n.plan})
}

// Pause freezes the whole node, as a hypervisor does; Resume lets it go on.
func (n *Node) Pause(ctx context.Context) error {
	return n.fault(ctx, "fault", "paused", func() error { return n.body().freeze(ctx, true) })
}

// Resume ends a Pause.
func (n *Node) Resume(ctx context.Context) error {
	return n.fault(ctx, "heal", "resumed", func() error { return n.body().freeze(ctx, false) })
}

// Paused reports whether the node is a VM that stands still: what is asked of
// it waits until Resume.
func (n *Node) Paused(ctx context.Context) bool { return n.body().frozen(ctx) }

// Reset presses the button: the node boots again at once, nothing is flushed.
func (n *Node) Reset(ctx context.Context) error {
	return n.fault(ctx, "fault", "reset", func() error { return n.body().reset(ctx) })
}

// SetCarrier pulls the cable of a NIC out, or puts it back.
func (n *Node) SetCarrier(ctx context.Context, nic int, on bool) error {
	p, err := n.port(nic)
	if err != nil {
		return err
	}
	kind := "heal"
	if !on {
		kind = "fault"
	}
	return n.fault(ctx, kind, "carrier of "+p.NIC, func() error { return n.body().setCarrier(ctx, p, on) })
}

// Unplug takes a NIC out of a node that runs, as hot-plug does. A power cut
// and the next PowerOn bring it back, and so does Plug.
func (n *Node) Unplug(ctx context.Context, nic int) error {
	p, err := n.port(nic)
	if err != nil {
		return err
	}
	return n.fault(ctx, "fault", "without "+p.NIC, func() error { return n.body().unplug(ctx, p) })
}

// Plug puts a NIC into a node that runs, in place of the one that Unplug took
// out: its name and MAC are the same, its index is another.
func (n *Node) Plug(ctx context.Context, nic int) error {
	p, err := n.port(nic)
	if err != nil {
		return err
	}
	return n.fault(ctx, "heal", p.NIC+" is back", func() error { return n.body().plug(ctx, p) })
}

// fault does something to a node, noted down before.
func (n *Node) fault(_ context.Context, kind, note string, do func() error) error {
	if err := n.lab.rec.Note(record.Event{Time: now(), Kind: kind, Machine: n.Name(), Note: note}); err != nil {
		return err
	}
	return do()
}

// port is a NIC by number, as the switch knows it.
func (n *Node) port(nic int) (fabric.Port, error) {
	all := ports(n.plan)
	if nic < 0 || nic >= len(all) {
		return fabric.Port{}, fmt.Errorf("node %s: NIC %d: %w %s; it has %d", n.Name(), nic, ErrUnknown, n.lab.Name(), len(all))
	}
	return all[nic], nil
}

// WriteNetToml replaces the node's net.toml. g8os_core reads it at its start
// and on Reload.
func (n *Node) WriteNetToml(text string) error {
	if err := n.body().writeFile(context.Background(), "net.toml", text); err != nil {
		return fmt.Errorf("net.toml of node %s: %w", n.Name(), err)
	}
	return nil
}

// Reload makes g8os_core read net.toml again (SIGHUP).
func (n *Node) Reload(ctx context.Context) error { return n.KillCore(ctx, syscall.SIGHUP) }

// Enter starts a command inside the node: its files, processes and network.
// prepare sets stdin, stdout, stderr. The process is the caller's child.
func (n *Node) Enter(argv []string, prepare func(*exec.Cmd)) (*exec.Cmd, error) {
	return n.body().enter(argv, false, prepare)
}

// EnterTerminal is Enter for a command that wants a terminal of its own where
// the caller's cannot be handed in.
func (n *Node) EnterTerminal(argv []string, prepare func(*exec.Cmd)) (*exec.Cmd, error) {
	return n.body().enter(argv, true, prepare)
}

// Exec runs a command inside the node and waits for it. A code other than 0 is
// no error; when ctx ends first, the command is killed.
func (n *Node) Exec(ctx context.Context, argv ...string) (Result, error) {
	return run(ctx, argv, n.Enter)
}

// run runs a command by one of the ways into a machine.
func run(ctx context.Context, argv []string, enter func([]string, func(*exec.Cmd)) (*exec.Cmd, error)) (Result, error) {
	var out, errs bytes.Buffer
	cmd, err := enter(argv, func(c *exec.Cmd) {
		c.Stdout, c.Stderr = &out, &errs
		c.WaitDelay = time.Second
	})
	if err != nil {
		return Result{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err = cmd.Wait()
	r := Result{Stdout: out.String(), Stderr: errs.String(), Code: ExitCode(cmd.ProcessState)}
	if _, ended := errors.AsType[*exec.ExitError](err); ended && ctx.Err() == nil {
		err = nil
	}
	return r, errors.Join(err, ctx.Err())
}

// ExitCode is the code of a process that has ended, 128+n after signal n.
func ExitCode(ps *os.ProcessState) int {
	if ws, ok := ps.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ps.ExitCode()
}

// Console opens the serial console of a node that is a VM. There is one seat.
func (n *Node) Console(ctx context.Context) (net.Conn, error) { return n.body().console(ctx) }
