package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/g8os/g8os/core/api"
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

// fillDisk puts on a new disk what an image has: net.toml and the pinned CA.
// A disk that has them is left alone.
func (n *Node) fillDisk() error {
	if err := os.MkdirAll(n.Disk(), 0o755); err != nil {
		return err
	}
	ca, err := os.ReadFile(n.lab.ACs()[0].CAPath())
	if err != nil {
		return fmt.Errorf("pinned CA for node %s: %w", n.Name(), err)
	}
	for name, text := range map[string][]byte{"ca.pem": ca, "net.toml": []byte(n.plan.NetTOML)} {
		path := filepath.Join(n.Disk(), name)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("disk of node %s: %w", n.Name(), err)
		}
	}
	return nil
}

// StartCore starts g8os_core unless it runs.
func (n *Node) StartCore(ctx context.Context) error {
	return n.StartCoreWith(ctx, n.plan.Clock)
}

// StartCoreWith starts g8os_core with its clock off by skew, unless it runs.
// Nodes share the host's clock, so the daemon is told to keep one of its own.
func (n *Node) StartCoreWith(ctx context.Context, skew time.Duration) error {
	m, err := n.lab.machine(n.Name())
	if err != nil {
		return err
	}
	if st, ok, err := m.Job(ctx, coreJob); err != nil || ok && st.Running {
		return err
	}
	clock := "own"
	if skew != 0 {
		clock = fmt.Sprintf("own:%+ds", int64(skew/time.Second))
	}
	return m.Start(ctx, machine.Job{Name: coreJob, Argv: []string{"g8os_core", "run", "--clock", clock}, Log: n.Name() + ".log"})
}

// KillCore sends a signal to g8os_core, to nothing it has started; with
// SIGKILL and SIGTERM it waits for the end.
func (n *Node) KillCore(ctx context.Context, sig syscall.Signal) error {
	m, err := n.lab.machine(n.Name())
	if err != nil {
		return err
	}
	if err := m.Signal(ctx, coreJob, sig); err != nil {
		return err
	}
	if sig == syscall.SIGKILL || sig == syscall.SIGTERM {
		_, err = m.Wait(ctx, coreJob)
	}
	return err
}

// RestartCore kills g8os_core with SIGKILL, if it runs, and starts it again.
func (n *Node) RestartCore(ctx context.Context) error {
	m, err := n.lab.machine(n.Name())
	if err != nil {
		return err
	}
	if st, ok, err := m.Job(ctx, coreJob); err != nil {
		return err
	} else if ok && st.Running {
		if err := n.KillCore(ctx, syscall.SIGKILL); err != nil {
			return err
		}
	}
	return n.StartCore(ctx)
}

// Core says whether g8os_core runs, or how it ended.
func (n *Node) Core(ctx context.Context) (machine.State, error) {
	m, err := n.lab.machine(n.Name())
	if err != nil {
		return machine.State{}, err
	}
	st, _, err := m.Job(ctx, coreJob)
	return st, err
}

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
	if err := n.fillDisk(); err != nil {
		return err
	}
	return n.lab.power(ctx, []topology.Machine{n.plan})
}

// SetCarrier pulls the cable of a NIC out, or puts it back.
func (n *Node) SetCarrier(ctx context.Context, nic int, on bool) error {
	p, sw, err := n.cable(nic)
	if err != nil {
		return err
	}
	kind := "heal"
	if !on {
		kind = "fault"
	}
	if err := n.lab.rec.Note(record.Event{Time: now(), Kind: kind, Machine: n.Name(), Note: "carrier of " + p.NIC}); err != nil {
		return err
	}
	return sw.SetCarrier(ctx, p, on)
}

// WriteNetToml replaces the node's net.toml. g8os_core reads it at its start
// and on Reload.
func (n *Node) WriteNetToml(text string) error {
	path := filepath.Join(n.Disk(), "net.toml")
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		return fmt.Errorf("net.toml of node %s: %w", n.Name(), err)
	}
	return os.Rename(path+".new", path)
}

// Reload makes g8os_core read net.toml again (SIGHUP).
func (n *Node) Reload(ctx context.Context) error { return n.KillCore(ctx, syscall.SIGHUP) }

// Enter starts a command inside the node: its files, processes and network.
// prepare sets stdin, stdout, stderr. The process is the caller's child.
func (n *Node) Enter(argv []string, prepare func(*exec.Cmd)) (*exec.Cmd, error) {
	m, err := n.lab.machine(n.Name())
	if err != nil {
		return nil, err
	}
	return m.Enter(argv, prepare)
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
