package lab

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/g8os/g8os/lab/machine"
	"github.com/g8os/g8os/lab/swtpm"
	"github.com/g8os/g8os/lab/topology"
)

// tpmJob is a node's TPM among the processes of its init.
const tpmJob = "swtpm"

// tpmSocket is where a node of namespaces finds its TPM, with the TPM's state
// around it.
const tpmSocket = machine.TPMDir + "/socket"

// tpmDir has the state of a node's TPM. It is no part of the node's disk.
func (l *Lab) tpmDir(node string) string { return filepath.Join(l.dataDir(node), "tpm") }

// tpmControl is where the QEMU of a node finds its TPM.
func (l *Lab) tpmControl(node string) string { return filepath.Join(l.machineDir(node), "tpm") }

// startTPM gives power to the TPM of a machine, if it has one, and waits until it
// can be spoken to.
func (l *Lab) startTPM(ctx context.Context, m topology.Machine, up *machine.Machine) error {
	if !m.TPM {
		return nil
	}
	argv, socket := swtpm.Socket(machine.TPMDir, tpmSocket), fmt.Sprintf("/proc/%d/root%s", up.Proc.PID, tpmSocket)
	if isVM(m) {
		argv, socket = swtpm.Control(l.tpmDir(m.Name), l.tpmControl(m.Name)), l.tpmControl(m.Name)
	}
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) { // of the one that was here before
		return fmt.Errorf("TPM of node %s: %w", m.Name, err)
	}
	if err := up.Start(ctx, machine.Job{Name: tpmJob, Argv: argv, Log: m.Name + ".tpm.log"}); err != nil {
		return fmt.Errorf("TPM of node %s: %w", m.Name, err)
	}
	for {
		if st, err := os.Stat(socket); err == nil && st.Mode()&fs.ModeSocket != 0 {
			return nil
		}
		st, ok, err := up.Job(ctx, tpmJob)
		if err == nil && ok && !st.Running {
			err = fmt.Errorf("it ended with code %d; %s", st.Code, filepath.Join(l.LogDir(), m.Name+".tpm.log"))
		}
		if err == nil {
			pause(ctx, 5*time.Millisecond)
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("TPM of node %s: %w", m.Name, err)
		}
	}
}

// HasTPM says whether the node has a TPM of its own.
func (n *Node) HasTPM() bool { return n.plan.TPM }

// ClearTPM makes the TPM of a node that is off another one, as a firmware's setup
// or another board does.
func (n *Node) ClearTPM() error { return swtpm.Clear(n.lab.tpmDir(n.Name())) }
