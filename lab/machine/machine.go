// Package machine makes the virtual machines of the lab: a set of namespaces
// (network, mount, UTS, IPC, PID) whose PID 1 is a tiny init of ours. A node,
// an AC, a DHCP server, the switch and a stranger on a segment are all one.
//
//	g8lab ──fork──▶ init (waits for its spec on stdin)
//	      ──note──▶ record: pid, start time
//	      ──spec──▶ init mounts, names itself, listens on its control socket
//	      ◀─ready── init
//	      ──start─▶ init runs a process, reaps it, knows how it ended
//
// It promises: nothing outside the namespaces is touched; killing the init is
// a power cut that no process of the machine survives; an init whose maker
// died before it was noted down ends by itself, having done nothing.
//
// Any program that imports this package can be the init: it starts itself
// again under the name g8lab-init, which is caught before main.
//
// It is not a supervisor: nothing is started again unless somebody asks.
package machine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/g8os/g8os/lab/record"
)

// initName is argv[0] of an init.
const initName = "g8lab-init"

// Spec says what a machine is. It travels to the init on its stdin.
type Spec struct {
	Lab      string `json:"lab"`
	Name     string `json:"name"`
	Hostname string `json:"hostname"`
	// Control is the path of the control socket, at most 107 bytes.
	Control string `json:"control"`
	// LogDir is where the logs of its processes go.
	LogDir string `json:"log_dir"`
	// Node gives the machine a file system of its own; nil: it sees the host's.
	Node *NodeFS `json:"node,omitempty"`
	// IPv6 leaves IPv6 on; the default is off (its chatter pins the userspace switch).
	IPv6 bool `json:"ipv6,omitempty"`
	// Sysctls are written below /proc/sys/net before any NIC exists.
	Sysctls map[string]string `json:"sysctls,omitempty"`
	// NICs are the interfaces that were moved in before the spec was sent.
	NICs []NIC `json:"nics,omitempty"`
	// Relay is that of a machine that holds a virtual one; nil: it does not.
	Relay *Relay `json:"relay,omitempty"`
	// Forwards says where connections to the listeners of Start go.
	Forwards []string `json:"forwards,omitempty"`
}

// NodeFS is what lies under a node: directories of the host, all of which must exist.
type NodeFS struct {
	Scratch string `json:"scratch"`       // an empty directory; the node's volatile files are mounted over it
	Disk    string `json:"disk"`          // becomes /etc/g8os; survives a power cut
	Run     string `json:"run"`           // becomes /run
	VarLog  string `json:"var_log"`       // becomes /var/log
	Bin     string `json:"bin"`           // comes first in /usr/local/bin
	TPM     string `json:"tpm,omitempty"` // becomes TPMDir: the state of the node's TPM; empty: it has none
}

// TPMDir is where a node sees its TPM.
const TPMDir = "/run/tpm"

// NIC is an interface inside the machine.
type NIC struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses,omitempty"` // with prefix length
	Gateway   string   `json:"gateway,omitempty"`
	Up        bool     `json:"up,omitempty"` // nodes raise their own
}

// Machine is a handle on a running machine.
type Machine struct {
	Name    string
	Proc    record.Process // its init, as the host sees it
	Control string         // path of the control socket
}

// Maker is a machine whose init waits for its spec.
type Maker struct {
	Proc  record.Process
	name  string
	spec  io.WriteCloser
	reply *os.File
	logs  string
}

// Create forks the init of a machine. It does nothing until Boot; if the
// caller dies before that, so does the init. The listeners stay in the
// network namespace they were made in and are closed in the caller.
func Create(lab, name, logPath string, listeners ...*net.TCPListener) (*Maker, error) {
	fail := func(err error) (*Maker, error) {
		return nil, fmt.Errorf("create machine %s of lab %s: %w", name, lab, err)
	}
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fail(err)
	}
	defer logFile.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{initName, lab, name}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + Path, "HOME=/root", "LANG=C.UTF-8", "GOMAXPROCS=1"}
	cmd.Stderr = logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true,
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS |
			syscall.CLONE_NEWIPC | syscall.CLONE_NEWPID,
	}
	for _, l := range listeners {
		f, err := l.File()
		if err != nil {
			return fail(err)
		}
		defer f.Close()
		defer l.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return fail(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	cmd.Stdout = w
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		_ = r.Close()
		return fail(fmt.Errorf("%w (are you root, and may new namespaces be made here?)", err))
	}
	go func() { _ = cmd.Wait() }() // only to reap it if we live that long
	proc, err := record.ProcessOf(cmd.Process.Pid)
	if err != nil {
		_ = in.Close()
		return fail(err)
	}
	return &Maker{Proc: proc, name: name, spec: in, reply: r, logs: logPath}, nil
}

// Boot hands the init its spec and waits until the machine stands.
func (m *Maker) Boot(ctx context.Context, spec Spec) (*Machine, error) {
	defer m.reply.Close()
	fail := func(err error) (*Machine, error) {
		_ = m.spec.Close()
		return nil, fmt.Errorf("boot machine %s: %w (its log: %s)", m.name, err, m.logs)
	}
	stop := context.AfterFunc(ctx, func() { _ = m.reply.SetDeadline(time.Now()) })
	defer stop()
	if err := json.NewEncoder(m.spec).Encode(spec); err != nil {
		return fail(err)
	}
	line, err := bufio.NewReader(m.reply).ReadBytes('\n')
	if err != nil {
		return fail(errors.Join(err, ctx.Err()))
	}
	var answer response
	if err := json.Unmarshal(line, &answer); err != nil {
		return fail(err)
	}
	if answer.Error != "" {
		return fail(errors.New(answer.Error))
	}
	_ = m.spec.Close()
	return &Machine{Name: m.name, Proc: m.Proc, Control: spec.Control}, nil
}

// Abandon ends an init that will not be booted.
func (m *Maker) Abandon() {
	_ = m.spec.Close()
	_ = m.reply.Close()
}

// NetNS is the path of the machine's network namespace.
func (m *Machine) NetNS() string {
	return filepath.Join("/proc", fmt.Sprint(m.Proc.PID), "ns/net")
}

// Alive reports whether the machine has power.
func (m *Machine) Alive() bool { return m.Proc.Alive() }

// PowerOff kills the init and waits until every process of the machine is gone.
func (m *Machine) PowerOff(ctx context.Context) error { return m.Proc.Kill(ctx) }
