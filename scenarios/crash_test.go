package scenarios

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// firstBoot is in the order in which a first boot makes things on the disk.
var firstBoot = []string{"device.key", "counter", "keyslots", "private.new", "private.conf", "private"}

var _ = Describe("g8os_core", netns, vm, func() {
	inEachPhase("killed with SIGKILL and started again is managed", func(ctx SpecContext, phase string) {
		g := up(ctx, officeOnly, held)
		n := g.Node("node")
		letGo := g.climb(ctx, "node", phase)
		ok(n.KillCore(ctx, syscall.SIGKILL))
		letGo()
		ok(n.StartCore(ctx))
		g.works(ctx, "node")
		g.holdsOn(ctx, "node")
	})

	It("killed and started again keeps an ssh login and the volume's daemon", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		daemon := g.inside(ctx, "node", "pidof", "gocryptfs")
		var login bytes.Buffer
		stdin, keys, err := os.Pipe()
		ok(err)
		ssh, err := g.Node("node").SSH(ctx, []string{"echo", "in;", "cat"}, func(c *exec.Cmd) { c.Stdin, c.Stdout = stdin, &login })
		ok(err)
		DeferCleanup(func() { _, _ = ssh.Process.Kill(), ssh.Wait() }) // the node's namespace waits for it
		ok(stdin.Close())
		Eventually(ctx, func() string { return g.inside(ctx, "node", "sh", "-c", "pidof cat || true") }).WithTimeout(stepTimeout()).ShouldNot(BeEmpty())
		for range 2 {
			ok(g.Node("node").RestartCore(ctx))
			g.works(ctx, "node")
		}
		_, err = keys.WriteString("still here\n")
		ok(err)
		ok(keys.Close())
		ok(ssh.Wait())
		Expect(login.String()).To(Equal("in\nstill here\n"))
		Expect(g.inside(ctx, "node", "pidof", "gocryptfs")).To(Equal(daemon))
	}, patience)
})

// hasMade returns once a node's disk has a file of a first boot, or the last
// one: some are there for a moment only.
func (g *grid) hasMade(ctx context.Context, n *lab.Node, file string) {
	GinkgoHelper()
	if onMachines() {
		g.inside(ctx, n.Name(), "sh", "-c", `cd /; until ls -d "/etc/g8os/$0" /etc/g8os/private 2>/dev/null | grep -q .; do usleep 5000; done`, file)
		return
	}
	Eventually(ctx, func() error {
		_, err := os.Lstat(filepath.Join(n.Disk(), file))
		if _, last := os.Lstat(filepath.Join(n.Disk(), "private")); last == nil {
			return nil
		}
		return err
	}).WithTimeout(stepTimeout()).WithPolling(time.Millisecond / 2).Should(Succeed())
}

// slowdown is how much longer a machine takes for what namespaces do.
func slowdown() time.Duration {
	if onMachines() {
		return 8
	}
	return 1
}

var _ = Describe("a power cut", netns, vm, func() {
	It("at the moment a first boot has made each of its files leaves a node that boots", func(ctx SpecContext) {
		g := up(ctx, strings.Replace(officeOnly, "{name: node,", "{name: node, count: 6,", 1), held)
		for i, n := range g.Nodes() {
			file := firstBoot[i]
			By(file)
			ok(n.StartCore(ctx))
			g.hasMade(ctx, n, file)
			ok(n.PowerCut(ctx))
			ok(n.PowerOn(ctx))
		}
		for _, n := range g.Nodes() {
			g.works(ctx, n.Name())
			g.holdsOn(ctx, n.Name())
		}
	}, patience)

	It("after another, at moments of a boot that nobody chose, leaves a node that boots", func(ctx SpecContext) {
		g := up(ctx, officeOnly, held)
		n := g.Node("node")
		for wait := 20 * time.Millisecond; wait < time.Second; wait += 90 * time.Millisecond {
			ok(n.StartCore(ctx))
			select {
			case <-ctx.Done():
			case <-time.After(wait * slowdown()): // the moment is the point
			}
			ok(n.PowerCut(ctx))
			ok(n.PowerOnHeld(ctx))
		}
		ok(n.StartCore(ctx))
		g.works(ctx, "node")
		g.holdsOn(ctx, "node")
	}, patience)

	It("of all nodes at once, again and again, leaves none without its cable", func(ctx SpecContext) {
		g := up(ctx, strings.Replace(officeOnly, "{name: node,", "{name: node, count: 6,", 1))
		g.managed(ctx)
		for range 4 {
			var all sync.WaitGroup
			for _, n := range g.Nodes() {
				all.Go(func() {
					defer GinkgoRecover()
					ok(n.PowerCut(ctx))
					ok(n.PowerOn(ctx))
				})
			}
			all.Wait()
			g.managed(ctx)
		}
	}, patience)
})
