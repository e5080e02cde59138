package scenarios

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// withTools is a topology whose nodes have the tools layer, and room to use it.
func withTools(text string) string {
	return strings.ReplaceAll(text, "- {name: node,", "- {name: node, vm: {tools: true, memory: 768MiB, state: 2GiB},")
}

// hasTool waits until a program of the tools layer answers.
func (g *grid) hasTool(ctx context.Context, node string, argv ...string) string {
	GinkgoHelper()
	var said string
	Eventually(ctx, func() error {
		r, err := g.Node(node).Exec(ctx, argv...)
		said = r.Stdout
		if err == nil && r.Code != 0 {
			err = fmt.Errorf("code %d: %s", r.Code, strings.TrimSpace(r.Stderr))
		}
		return err
	}).WithTimeout(stepTimeout()).Should(Succeed(), "%s on %s", strings.Join(argv, " "), node)
	return said
}

// bootSector is a guest that needs nothing: it says "guest" on its first serial
// port and switches itself off (isa-debug-exit).
const bootSector = `
printf '\272\370\003'     >/tmp/boot    # mov dx, 0x3f8
for c in g u e s t; do
	printf '\260%s\356' $c   >>/tmp/boot   # mov al, c; out dx, al
done
printf '\272\364\000\260\020\356\364' >>/tmp/boot # mov dx, 0xf4; mov al, 16; out dx, al; hlt
truncate -s 510 /tmp/boot
printf '\125\252'         >>/tmp/boot
`

// runGuest runs it; QEMU ends with code 33 then: twice 16, and one.
const runGuest = `timeout 120 qemu-system-x86_64 -accel $0 -m 32 -nodefaults -display none -serial stdio \
	-device isa-debug-exit,iobase=0xf4,iosize=1 -drive file=/tmp/boot,format=raw,if=ide -no-reboot; [ $? = 33 ]`

// importMini makes an image of nothing but busybox.
const importMini = `
mkdir -p /tmp/c/bin /tmp/c/lib /tmp/c/lib64
cp -L $(command -v busybox) /tmp/c/bin/busybox
ln -sf busybox /tmp/c/bin/sh
cp -L /lib64/ld-linux-x86-64.so.2 /tmp/c/lib64
cp -L /lib/x86_64-linux-gnu/libc.so.6 /lib/x86_64-linux-gnu/libresolv.so.2 /tmp/c/lib
tar -C /tmp/c -c . | docker import - mini:1`

// resident is bootSector as a guest that stays: it says one line and halts. SeaBIOS
// boots no virtio disk that is smaller than a cylinder of its geometry, so that
// it is a whole MiB.
const resident = `
printf '\272\370\003'     >/state/guest
for c in g u e s t '\012'; do
	printf "\260$c\356"      >>/state/guest
done
printf '\364\353\375'     >>/state/guest # hlt; jmp to it
truncate -s 510 /state/guest
printf '\125\252'         >>/state/guest
truncate -s 1M /state/guest
`

// inGroup runs a shell in the control group's folder of a service.
func (g *grid) inGroup(ctx context.Context, node, service, command string) string {
	GinkgoHelper()
	pid := g.services(ctx, node)[service].PID
	Expect(pid).NotTo(BeZero(), "%s does not run", service)
	return strings.TrimSpace(g.inside(ctx, node, "sh", "-ec", `cd /sys/fs/cgroup$(sed -n s/^0:://p /proc/$0/cgroup); `+command, fmt.Sprint(pid)))
}

// limited are services with limits: what to declare, and what the kernel has of it then.
var limited = []struct{ name, keys, has string }{
	{"box", `runtime = "docker"
docker = { image = "mini:1", network = "none" }
command = ["/bin/sh", "-c", "trap 'exit 0' TERM; echo boxed; while :; do /bin/busybox sleep 1; done"]
ready = { output = "boxed" }
limits = { cpu = 0.5, memory = "32MiB", pids = 20 }
`, "33554432\n50000 100000\n20"},
	{"guest", `runtime = "kvm"
kvm = { disks = ["/state/guest"], memory = "32MiB", args = ["-nic", "user"] }
ready = { output = "guest", timeout = "2m" }
stop = { grace = "1s" }
limits = { cpu = 0.8, memory = "256MiB", pids = 64 }
`, "268435456\n80000 100000\n64"},
	{"busy", `command = "while :; do :; done"
limits = { cpu = 0.2, memory = "16MiB", pids = 8 }
`, "16777216\n20000 100000\n8"},
}

// limitsMemory has a program and a container want more than they may have.
func (g *grid) limitsMemory(ctx context.Context, node string) {
	GinkgoHelper()
	for name, keys := range map[string]string{
		"greedy":  `command = "tail /dev/zero"`,
		"glutton": "runtime = \"docker\"\ndocker = { image = \"mini:1\", network = \"none\" }\n" + `command = ["/bin/busybox", "tail", "/dev/zero"]`,
	} {
		Expect(g.declares(ctx, node, name, keys+"\nrestart = \"never\"\nlimits = { memory = \"32MiB\" }\n")).To(HaveField("Code", 0))
		failed := g.serves(ctx, node, name, "failed", in("failed"))
		Expect(failed.Why).To(ContainSubstring("out of its memory"), name)
		Expect(*failed.Last).To(And(HaveField("Known", true), HaveField("Code", 137)), name)
	}
}

// limitsTasks has one start more tasks than it may have: a bomb that has an end.
func (g *grid) limitsTasks(ctx context.Context, node string) {
	GinkgoHelper()
	Expect(g.declares(ctx, node, "bomb", `command = """
sh -c 'i=0; while [ $i -lt 40 ]; do sleep 1000 & i=$((i+1)); done; echo all were begun'
echo it ended with $?
exec sleep 1000
"""
ready = { output = "it ended with" }
limits = { pids = 16 }
`)).To(HaveField("Code", 0))
	g.serves(ctx, node, "bomb", "ready", in("ready"))
	Expect(g.done(ctx, "", "service", "logs", node, "bomb")).To(And(ContainSubstring("fork"), Not(ContainSubstring("all were begun"))))
	var now, refused int
	_, err := fmt.Sscan(g.inGroup(ctx, node, "bomb", "cat pids.current; sed -n 's/^max //p' pids.events"), &now, &refused)
	ok(err)
	Expect(now).To(BeNumerically("<=", 16))
	Expect(refused).To(BeNumerically(">", 0))
	g.done(ctx, "", "service", "remove", node, "bomb")
}

var copied = regexp.MustCompile(`([0-9.]+) s, `)

// seconds that dd says it took.
func seconds(dd string) float64 {
	GinkgoHelper()
	m := copied.FindStringSubmatch(dd)
	Expect(m).NotTo(BeNil(), dd)
	s, err := strconv.ParseFloat(m[1], 64)
	ok(err)
	return s
}

// limitsDisk has one write as fast as it can, and compares with who may.
func (g *grid) limitsDisk(ctx context.Context, node string) {
	GinkgoHelper()
	const write = "dd if=/dev/zero of=/state/$0 bs=64k count=64 oflag=direct 2>&1"
	free := seconds(g.inside(ctx, node, "sh", "-c", write, "free"))
	Expect(g.declares(ctx, node, "slow", `command = ["sh", "-c", "`+write+`", "slow"]
oneshot = true
limits = { io = [{ device = "/dev/vda", write = "1MiB" }] }
`)).To(HaveField("Code", 0))
	g.serves(ctx, node, "slow", "done", in("done"))
	slow := seconds(g.done(ctx, "", "service", "logs", node, "slow"))
	AddReportEntry("4 MiB by a service that may write 1 MiB/s", fmt.Sprintf("%.2f s; %.2f s without a limit", slow, free))
	Expect(slow).To(And(BeNumerically(">", 3), BeNumerically(">", 2*free)))
}

var _ = Describe("the tools layer", vm, notNetns, tools, func() {
	It("runs a container and a guest inside a node", func(ctx SpecContext) {
		g := up(ctx, withTools(officeOnly))
		g.works(ctx, "node")
		g.hasTool(ctx, "node", "docker", "version")

		By("a container of nothing but busybox")
		g.inside(ctx, "node", "sh", "-ec", importMini)
		Expect(g.inside(ctx, "node", "docker", "run", "--rm", "mini:1", "/bin/sh", "-c", "echo in a container of $(/bin/busybox id -u)")).To(Equal("in a container of 0\n"))

		By("a guest")
		g.inside(ctx, "node", "sh", "-ec", bootSector)
		accel := "kvm"
		r, err := g.Node("node").Exec(ctx, "sh", "-c", "modprobe -a kvm_amd kvm_intel 2>/dev/null; [ -c /dev/kvm ] && "+runGuest, accel)
		ok(err)
		if r.Code != 0 {
			AddReportEntry("kvm inside a node", r.Stderr)
			accel = "tcg"
			r, err = g.Node("node").Exec(ctx, "sh", "-c", runGuest, accel)
			ok(err)
		}
		Expect(r).To(And(HaveField("Code", 0), HaveField("Stdout", HaveSuffix("guest"))), accel)
		AddReportEntry("a guest inside a node runs by", accel)
	}, patience)

	It("keeps containers and guests as services, and all within their limits", func(ctx SpecContext) {
		breaks("tail invoked oom-killer", "busybox invoked oom-killer", "oom-kill:constraint=CONSTRAINT_MEMCG")
		g := up(ctx, withTools(officeOnly))
		g.works(ctx, "node")
		g.hasTool(ctx, "node", "docker", "version")
		g.inside(ctx, "node", "sh", "-ec", importMini+resident)
		pids := map[string]int{}
		for _, l := range limited {
			By(l.name)
			Expect(g.declares(ctx, "node", l.name, l.keys)).To(HaveField("Code", 0))
			pids[l.name] = g.serves(ctx, "node", l.name, "ready", in("ready")).PID
			Expect(g.inGroup(ctx, "node", l.name, "cat memory.max cpu.max pids.max")).To(Equal(l.has), l.name)
		}

		By("a processor that is asked for whole is given in part")
		var used, passed, throttled float64
		_, err := fmt.Sscan(g.inGroup(ctx, "node", "busy", `
			at() { echo $(sed -n 's/^usage_usec //p' cpu.stat) $(cut -d' ' -f1 /proc/uptime); }
			a=$(at); sleep 5; b=$(at); echo $a $b $(sed -n 's/^nr_throttled //p' cpu.stat) |
			awk '{ print ($3-$1)/1e6, $4-$2, $5 }'`), &used, &passed, &throttled)
		ok(err)
		AddReportEntry("processor time of a service that may have 0.2", fmt.Sprintf("%.2f s of %.2f s, throttled %v times", used, passed, throttled))
		Expect(used / passed).To(BeNumerically("<", 0.3))
		Expect(throttled).To(BeNumerically(">", 10))

		By("memory, tasks and disk")
		g.limitsMemory(ctx, "node")
		g.limitsTasks(ctx, "node")
		g.limitsDisk(ctx, "node")

		By("another g8os_core has the same ones")
		Expect(g.inside(ctx, "node", "g8os_core", "restart")).To(ContainSubstring("is back"))
		g.works(ctx, "node")
		for _, l := range limited {
			Expect(g.serves(ctx, "node", l.name, "ready", in("ready"))).To(And(HaveField("PID", pids[l.name]), HaveField("Restarts", 0)), l.name)
		}

		By("they end")
		for _, l := range limited {
			g.done(ctx, "", "service", "remove", "node", l.name)
			Eventually(ctx, func() string {
				return g.inside(ctx, "node", "sh", "-c", "kill -0 $0 2>/dev/null || echo gone", fmt.Sprint(pids[l.name]))
			}).WithTimeout(stepTimeout()).Should(Equal("gone\n"), l.name)
		}
	}, patience)

	It("carries a VXLAN between the Open vSwitches of two nodes", func(ctx SpecContext) {
		text := strings.NewReplacer("{name: left,", "{name: left, vm: {tools: true, memory: 512MiB},",
			"{name: right,", "{name: right, vm: {tools: true, memory: 512MiB},").Replace(twoInOffice)
		g := up(ctx, text, held)
		for node, end := range map[string][2]string{"left": {"11", "12"}, "right": {"12", "11"}} {
			own, other := end[0], end[1]
			ok(g.Node(node).WriteNetToml(known + on("eth0", `address = ["192.168.7.`+own+`/24"]`) +
				on("storage", `kind = "vxlan"`, `vni = 42`, `local = "192.168.7.`+own+`"`, `remote = "192.168.7.`+other+`"`, `method = "none"`) +
				on("ovs0", `kind = "ovs"`, `ports = ["storage"]`, `address = ["10.42.0.`+own+`/24"]`)))
		}
		for _, n := range g.Nodes() {
			ok(n.StartCore(ctx))
		}
		g.managed(ctx)
		for _, n := range g.Nodes() {
			Expect(g.hasTool(ctx, n.Name(), "sh", "-c", "ovs-vsctl list-ports ovs0 | grep storage")).To(Equal("storage\n"))
		}
		wire := g.overhear("office")
		g.pings(ctx, "left", "10.42.0.12")
		inner := strings.TrimSpace(g.inside(ctx, "right", "cat", "/sys/class/net/ovs0/address"))
		Eventually(ctx, func() bool { return wire.mentions(inner) }).WithTimeout(stepTimeout()).Should(BeTrue(), "a frame within a frame")
	}, patience)

	It("comes from the AC to a node that has none, and is there after a power cut", func(ctx SpecContext) {
		text := strings.NewReplacer("{name: ac1,", "{name: ac1, layers: true,",
			"{name: node,", "{name: node, vm: {memory: 512MiB, state: 1GiB},").Replace(officeOnly)
		g := up(ctx, text)
		g.works(ctx, "node")
		g.hasTool(ctx, "node", "sh", "-c", "command -v git && git --version")
		ok(g.AC("ac1").Pause(ctx))
		ok(g.Node("node").PowerCut(ctx))
		ok(g.Node("node").PowerOn(ctx))
		g.hasTool(ctx, "node", "git", "--version")
		ok(g.AC("ac1").Resume(ctx))
		g.works(ctx, "node")
	}, patience)
})
