package scenarios

import (
	"context"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// machineOf is officeOnly with a machine that is as the words of its vm block say.
func machineOf(words string) string {
	return strings.Replace(officeOnly, "{name: node,", "{name: node, vm: {"+words+"},", 1)
}

// boot is what makes one boot another than the last.
func (g *grid) boot(ctx context.Context, node string) string {
	GinkgoHelper()
	return strings.TrimSpace(g.inside(ctx, node, "cat", "/proc/sys/kernel/random/boot_id"))
}

// bootsAgain waits until a node is in another boot than before, and managed.
func (g *grid) bootsAgain(ctx context.Context, node, before string) {
	GinkgoHelper()
	Eventually(ctx, func() string {
		r, err := g.Node(node).Exec(ctx, "cat", "/proc/sys/kernel/random/boot_id")
		if err != nil || r.Code != 0 {
			return before
		}
		return strings.TrimSpace(r.Stdout)
	}).WithTimeout(stepTimeout()).ShouldNot(Equal(before))
	g.works(ctx, node)
}

// identity of a node: what is made once, on its state disk.
func (g *grid) identity(ctx context.Context, node string) string {
	GinkgoHelper()
	return g.inside(ctx, node, "sha256sum", "/etc/g8os/device.key", "/mnt/etc/ssl/client.key", "/mnt/etc/ssh/ssh_host_ed25519_key")
}

// console of a node, as it was until now.
func (g *grid) console(n *lab.Node) string { return g.logs()[n.LogPath()] }

// saysOnConsole waits until a node's console has shown something.
func (g *grid) saysOnConsole(ctx context.Context, n *lab.Node, text string) {
	GinkgoHelper()
	Eventually(ctx, func() string { return g.console(n) }).WithTimeout(stepTimeout()).Should(ContainSubstring(text))
}

// runAndLeave starts something in a node that may not outlive it.
func (g *grid) runAndLeave(node, script string) {
	GinkgoHelper()
	cmd, err := g.Node(node).Enter([]string{"sh", "-c", script}, nothing)
	ok(err)
	go func() { _ = cmd.Wait() }()
	DeferCleanup(func() { _ = cmd.Process.Kill() })
}

var _ = Describe("a power cut", netns, vm, func() {
	for _, p := range phases {
		var in []any
		if p == "unlock" || p == "secure" {
			in = append(in, short)
		}
		It("in phase "+p+" leaves a node that boots", append(in, func(ctx SpecContext) {
			g := up(ctx, officeOnly, held)
			letGo := g.climb(ctx, "node", p)
			ok(g.Node("node").PowerCut(ctx))
			letGo()
			ok(g.Node("node").PowerOn(ctx))
			g.works(ctx, "node")
			g.holdsOn(ctx, "node")
		}, patience)...)
	}
})

var _ = Describe("machines", vm, notNetns, func() {
	It("are clones that differ in all that makes them up, and are told the time", short, func(ctx SpecContext) {
		g := up(ctx, pair)
		g.managed(ctx)
		for what, script := range map[string]string{
			"boot_id":      "cat /proc/sys/kernel/random/boot_id",
			"randomness":   "head -c 32 /dev/urandom | sha256sum",
			"uuid":         "cat /proc/sys/kernel/random/uuid",
			"ssh host key": "cat /mnt/etc/ssh/ssh_host_ed25519_key.pub",
			"device key":   "cat /etc/g8os/device.key",
			"client key":   "cat /mnt/etc/ssl/client.key",
			"MAC":          "cat /sys/class/net/eth0/address",
			"name":         "hostname",
		} {
			one, two := g.inside(ctx, "node-1", "sh", "-c", script), g.inside(ctx, "node-2", "sh", "-c", script)
			Expect(one).NotTo(BeEmpty(), what)
			Expect(one).NotTo(Equal(two), what)
		}
		for _, n := range g.Nodes() {
			asked := time.Now()
			seconds, err := strconv.ParseInt(strings.TrimSpace(g.inside(ctx, n.Name(), "date", "+%s")), 10, 64)
			ok(err)
			Expect(time.Unix(seconds, 0)).To(And(
				BeTemporally(">", asked.Add(-3*time.Second)), BeTemporally("<", time.Now().Add(2*time.Second))), "clock of %s", n.Name())
		}
	}, patience)

	DescribeTable("climb to managed and are the same after a power cut, however they come up",
		func(ctx SpecContext, words string) {
			g := up(ctx, machineOf(words))
			g.works(ctx, "node")
			g.holdsOn(ctx, "node")
			before, boot := g.identity(ctx, "node"), g.boot(ctx, "node")
			ok(g.Node("node").PowerCut(ctx))
			ok(g.Node("node").PowerOn(ctx))
			g.works(ctx, "node")
			Expect(g.identity(ctx, "node")).To(Equal(before))
			Expect(g.boot(ctx, "node")).NotTo(Equal(boot))
		},
		Entry("as clones", "cold: false", patience),
		Entry("cold", "cold: true", patience),
		Entry("with two processors and two disks", "cpus: 2, memory: 256MiB, state: [512MiB, 512MiB]", patience),
	)

	DescribeTable("boot from a stick to managed, and are the same after a power cut",
		func(ctx SpecContext, firmware string) {
			g := up(ctx, machineOf("boot: usb, memory: 1024MiB, firmware: "+firmware))
			// What is on the stick serves no guest channel: the AC is the only way in.
			asked := func(argv ...string) func() string {
				return func() string {
					r, err := g.AC("ac1").Exec(ctx, g.Node("node"), argv...)
					if err != nil || r.Code != 0 {
						return ""
					}
					return r.Stdout
				}
			}
			bootID := asked("cat", "/proc/sys/kernel/random/boot_id")
			Eventually(ctx, bootID).WithTimeout(stepTimeout()).ShouldNot(BeEmpty())
			before, key := bootID(), asked("sha256sum", "/etc/g8os/device.key")()
			Expect(key).NotTo(BeEmpty())
			ok(g.Node("node").PowerCut(ctx))
			ok(g.Node("node").PowerOn(ctx))
			Eventually(ctx, bootID).WithTimeout(stepTimeout()).ShouldNot(Or(BeEmpty(), Equal(before)))
			Expect(asked("sha256sum", "/etc/g8os/device.key")()).To(Equal(key))
		},
		Entry("through UEFI", "uefi", stick, patience),
		Entry("through BIOS", "bios", stick, patience),
	)

	It("go on after they stood still for half a minute, without another boot", func(ctx SpecContext) {
		breaks("soft lockup")
		g := up(ctx, officeOnly)
		g.works(ctx, "node")
		before, boot := g.certificate(ctx, "node"), g.boot(ctx, "node")
		ok(g.Node("node").Pause(ctx))
		Consistently(ctx, func() error {
			_, err := g.Node("node").Core(ctx)
			return err
		}).WithTimeout(30 * time.Second).WithPolling(10 * time.Second).Should(Succeed())
		ok(g.Node("node").Resume(ctx))
		g.works(ctx, "node")
		Expect(g.boot(ctx, "node")).To(Equal(boot))
		Expect(g.certificate(ctx, "node")).To(Equal(before))
	}, patience)

	It("that are reset come back as they were", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.works(ctx, "node")
		before, boot := g.identity(ctx, "node"), g.boot(ctx, "node")
		ok(g.Node("node").Reset(ctx))
		g.bootsAgain(ctx, "node", boot)
		Expect(g.identity(ctx, "node")).To(Equal(before))
	}, patience)

	It("end in order when their power button is pressed: what was written is there, and the disk is clean", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.works(ctx, "node")
		n := g.Node("node")
		before := g.identity(ctx, "node")
		g.inside(ctx, "node", "sh", "-c", "echo written >/state/written; echo private >/mnt/etc/written")
		ok(n.PressPower(ctx))
		Expect(g.console(n)).To(ContainSubstring("reboot: Power down"))
		ok(n.PowerCut(ctx))
		ok(n.PowerOn(ctx))
		g.works(ctx, "node")
		Expect(g.inside(ctx, "node", "cat", "/state/written", "/mnt/etc/written")).To(Equal("written\nprivate\n"))
		Expect(g.identity(ctx, "node")).To(Equal(before))
		Expect(g.inside(ctx, "node", "cat", "/var/log/g8os/boot.log.1")).To(ContainSubstring("=== ended: power off (power button)"))
		Expect(g.inside(ctx, "node", "dmesg")).NotTo(Or(ContainSubstring("recovery complete"), ContainSubstring("recovering journal")))
	}, patience)

	It("whose kernel panics boot again, say so, and are managed", func(ctx SpecContext) {
		breaks("sysrq", "Kernel panic")
		g := up(ctx, machineOf(`append: "panic=3"`))
		g.works(ctx, "node")
		before, boot := g.identity(ctx, "node"), g.boot(ctx, "node")
		g.runAndLeave("node", "sync; echo c >/proc/sysrq-trigger")
		g.bootsAgain(ctx, "node", boot)
		Expect(g.console(g.Node("node"))).To(ContainSubstring("Kernel panic"))
		Expect(g.identity(ctx, "node")).To(Equal(before))
		Expect(g.inside(ctx, "node", "sh", "-c", "cat /var/log/g8os/boot.log*")).To(ContainSubstring("the last boot ended without a word"))
	}, patience)

	It("whose PID 1 hangs are reset by their watchdog", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.works(ctx, "node")
		before, boot := g.identity(ctx, "node"), g.boot(ctx, "node")
		g.inside(ctx, "node", "sh", "-c", "ls /dev/watchdog0 && mkdir /sys/fs/cgroup/frozen")
		// PID 1 cannot be stopped by a signal; what the freezer holds does not run.
		g.runAndLeave("node", "echo 1 >/sys/fs/cgroup/frozen/cgroup.procs && echo 1 >/sys/fs/cgroup/frozen/cgroup.freeze")
		g.bootsAgain(ctx, "node", boot)
		Expect(g.identity(ctx, "node")).To(Equal(before))
	}, patience)
})
