package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"

	"github.com/g8os/g8os/lab/machine"
)

// SSH logs in on a node with the lab's key, from the AC's leg on the node's
// segment: a real client, a real wire, a real sshd. Without argv it is a
// shell. prepare sets stdin, stdout, stderr.
func (n *Node) SSH(ctx context.Context, argv []string, prepare func(*exec.Cmd)) (*exec.Cmd, error) {
	s, err := n.Status(ctx)
	if err != nil {
		return nil, err
	}
	prefix, err := netip.ParsePrefix(s.Address)
	if err != nil {
		return nil, fmt.Errorf("ssh to node %s: it has no address yet; it is in phase %s, waiting for %s", n.Name(), s.Phase, s.WaitsFor)
	}
	row := n.Row(s)
	for _, ac := range n.lab.ACs() {
		leg, ok := ac.Leg(row.Segment)
		if !ok {
			continue
		}
		proxy, err := machine.DialCommand(leg, net.JoinHostPort(prefix.Addr().String(), "22"))
		if err != nil {
			return nil, err
		}
		ssh := []string{"ssh", "-F", "none", "-i", n.lab.keyPath(), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
			"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5",
			"-o", "ProxyCommand=" + proxy, "root@" + prefix.Addr().String()}
		if len(argv) > 0 {
			ssh = append(append(ssh, "--"), argv...)
		}
		return ac.EnterNet(ssh, prepare)
	}
	return nil, fmt.Errorf("ssh to node %s: no AC has a leg on segment %s to go from", n.Name(), row.Segment)
}

// RunSSH runs a command on a node by ssh and waits for it. Code 255 is ssh's own.
func (n *Node) RunSSH(ctx context.Context, argv ...string) (Result, error) {
	if len(argv) == 0 {
		return Result{}, errors.New("ssh: no command")
	}
	return run(ctx, argv, func(argv []string, prepare func(*exec.Cmd)) (*exec.Cmd, error) {
		return n.SSH(ctx, argv, prepare)
	})
}
