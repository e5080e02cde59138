package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/g8os/g8os/core/unlock/tpm"
	"github.com/g8os/g8os/lab/fabric"
	"github.com/g8os/g8os/lab/machine"
)

// netnsBody is a node made of namespaces: g8os_core is a job of its init, its
// disk a directory of the host.
type netnsBody struct{ *Node }

func (b netnsBody) furnish() error {
	if err := os.MkdirAll(b.Disk(), 0o755); err != nil {
		return err
	}
	files, err := b.files()
	if err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(b.Disk(), name)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("disk of node %s: %w", b.Name(), err)
		}
	}
	return nil
}

// start tells the daemon to keep a clock of its own: nodes share the host's.
func (b netnsBody) start(ctx context.Context, skew time.Duration) error {
	m, err := b.lab.machine(b.Name())
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
	return m.Start(ctx, machine.Job{Name: coreJob, Argv: []string{"g8os_core", "run", "--clock", clock, "--spool", "/etc/g8os/spool", "--upgrades", "/etc/g8os/core", "--power", "exit"}, Env: []string{b.tpmEnv()}, Log: b.Name() + ".log"})
}

// tpmEnv tells g8os_core where its TPM is: never the host's.
func (b netnsBody) tpmEnv() string {
	if b.plan.TPM {
		return "G8OS_TPM=" + tpmSocket
	}
	return "G8OS_TPM=" + tpm.None
}

func (b netnsBody) core(ctx context.Context) (machine.State, error) {
	m, err := b.lab.machine(b.Name())
	if err != nil {
		return machine.State{}, err
	}
	st, _, err := m.Job(ctx, coreJob)
	return st, err
}

func (b netnsBody) signal(ctx context.Context, sig syscall.Signal, wait bool) error {
	m, err := b.lab.machine(b.Name())
	if err != nil {
		return err
	}
	if err := m.Signal(ctx, coreJob, sig); err != nil {
		return err
	}
	if wait {
		_, err = m.Wait(ctx, coreJob)
	}
	return err
}

func (b netnsBody) writeFile(_ context.Context, name, text string) error {
	path := filepath.Join(b.Disk(), name)
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (b netnsBody) enter(argv []string, _ bool, prepare func(*exec.Cmd)) (*exec.Cmd, error) {
	m, err := b.lab.machine(b.Name())
	if err != nil {
		return nil, err
	}
	return m.Enter(argv, func(c *exec.Cmd) {
		c.Env = append(c.Env, b.tpmEnv())
		prepare(c)
	})
}

func (b netnsBody) setCarrier(ctx context.Context, p fabric.Port, on bool) error {
	sw, err := b.lab.fabric(p.Segment)
	if err != nil {
		return err
	}
	return sw.SetCarrier(ctx, p, on)
}

func (b netnsBody) unplug(ctx context.Context, p fabric.Port) error {
	sw, err := b.lab.fabric(p.Segment)
	if err != nil {
		return err
	}
	return sw.Unplug(ctx, p)
}

func (b netnsBody) plug(ctx context.Context, p fabric.Port) error {
	sw, err := b.lab.fabric(p.Segment)
	if err != nil {
		return err
	}
	m, err := b.lab.machine(b.Name())
	if err != nil {
		return err
	}
	if err := sw.Plug(m.Proc.PID, p); err != nil {
		return err
	}
	// As for the NICs of the start: see machine.setUpNet.
	r, err := run(ctx, []string{"ethtool", "-K", p.NIC, "tx", "off"}, m.EnterNet)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("checksum offload of %s of %s off: %s", p.NIC, b.Name(), strings.TrimSpace(r.Stderr))
	}
	if err != nil {
		return err
	}
	return b.lab.connect(ctx, p.Segment, []fabric.Port{p})
}

// freeze stops every process of the node but its init (kill(2): -1 spares the
// sender and PID 1).
func (b netnsBody) freeze(ctx context.Context, frozen bool) error {
	signal := "CONT"
	if frozen {
		signal = "STOP"
	}
	r, err := run(ctx, []string{"sh", "-c", "kill -" + signal + " -1"}, func(argv []string, prepare func(*exec.Cmd)) (*exec.Cmd, error) {
		return b.enter(argv, false, prepare)
	})
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("signal %s to all processes of %s: %s", signal, b.Name(), strings.TrimSpace(r.Stderr))
	}
	return err
}

func (b netnsBody) frozen(context.Context) bool { return false } // a command that enters runs

func (b netnsBody) console(context.Context) (net.Conn, error) {
	return nil, fmt.Errorf("node %s is made of namespaces and has no console; %s shows what it says, g8lab up --fidelity vm makes machines",
		b.Name(), b.lab.say("logs "+b.Name()+" -f"))
}

func (b netnsBody) reset(ctx context.Context) error {
	if err := b.PowerCut(ctx); err != nil {
		return err
	}
	return b.PowerOn(ctx)
}
