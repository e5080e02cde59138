package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// The segment that all machines are on, with the controller at .2.
const (
	acAddress  = "192.168.71.2"
	acURL      = "https://" + acAddress + ":8966"
	debAddress = "192.168.71.10"
)

// port is the socket at which a machine is plugged into the segment.
func port(dir, name string) string { return filepath.Join(dir, name+".port") }

// plug is a NIC of another machine on it.
func plug(dir, name, mac string) []string {
	return []string{"-netdev", "stream,server=off,addr.type=unix,id=line,addr.path=" + port(dir, name), "-device", "virtio-net-pci,netdev=line,mac=" + mac}
}

// packagesDisk is a disk with the packages, and with the same ones as a later
// version.
func packagesDisk(ctx context.Context, dir string) string {
	GinkgoHelper()
	tree := filepath.Join(dir, "packages")
	ok(os.Mkdir(tree, 0o755))
	for _, name := range []string{"g8os-core", "g8os-ac"} {
		deb := artefact(name+"_*_amd64.deb", "make deb")
		ok(tool(ctx, "cp", deb, filepath.Join(tree, name+".deb")))
		ok(later(ctx, deb, filepath.Join(dir, name), filepath.Join(tree, name+"-later.deb")))
	}
	disk := filepath.Join(dir, "packages.disk")
	ok(os.WriteFile(disk, nil, 0o644))
	ok(os.Truncate(disk, 128<<20))
	ok(tool(ctx, "mkfs.ext4", "-q", "-F", "-d", tree, disk))
	return disk
}

// later makes the same package with a version that comes after it.
func later(ctx context.Context, deb, scratch, to string) error {
	if err := tool(ctx, "dpkg-deb", "-R", deb, scratch); err != nil {
		return err
	}
	control := filepath.Join(scratch, "DEBIAN", "control")
	text, err := os.ReadFile(control)
	if err != nil {
		return err
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "Version: ") {
			line = strings.TrimSpace(line) + "+later\n"
		}
		lines = append(lines, line)
	}
	if err := os.WriteFile(control, []byte(strings.Join(lines, "")), 0o644); err != nil {
		return err
	}
	return tool(ctx, "dpkg-deb", "--root-owner-group", "-Znone", "-b", scratch, to)
}

// node is a row of g8os nodes -o json.
type node struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	State       string `json:"state"`
	Phase       string `json:"phase"`
	Fingerprint string `json:"fingerprint"`
}

// status is what g8os_core status -o json says.
type status struct {
	Phase       string `json:"phase"`
	Fingerprint string `json:"fingerprint"`
	PID         int    `json:"pid"`
}

// operator is who sits at the controller, with the first admin's context.
const operator = "export G8OS_CONTEXT=/etc/g8os-ac/operators/admin.toml; "

// known waits until the controller knows the node with a fingerprint, in a
// state and, unless that is empty, a phase.
func known(ctx context.Context, ac *vm, fingerprint, state, phase string) (n node) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		r, err := ac.agent.run(ctx, operator+"g8os nodes -o json", "")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(r.code).To(BeZero(), r.err)
		var all []node
		g.Expect(json.Unmarshal([]byte(r.out), &all)).To(Succeed(), r.out)
		at := slices.IndexFunc(all, func(one node) bool { return one.Fingerprint == fingerprint })
		g.Expect(at).NotTo(Equal(-1), "no node has the fingerprint %s:\n%s", fingerprint, r.out)
		n = all[at]
		g.Expect(n.State).To(Equal(state))
		if phase != "" {
			g.Expect(n.Phase).To(Equal(phase))
		}
	}).WithTimeout(soon).WithPolling(often).Should(Succeed())
	return n
}

func statusOf(ctx context.Context, m *vm) (s status) {
	GinkgoHelper()
	ok(json.Unmarshal([]byte(m.sh(ctx, "g8os_core status -o json")), &s))
	return s
}

// ssh logs in on a node from the controller's machine, as somebody whose key
// the controller gives to every node.
func ssh(address string, port int) string {
	return fmt.Sprintf("ssh -i /root/.ssh/id_ed25519 -o StrictHostKeyChecking=accept-new -o BatchMode=yes -p %d root@%s ", port, address)
}
