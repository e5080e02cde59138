package scenarios

import (
	"context"
	"fmt"
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
	}).WithTimeout(contextTimeout(ctx)).Should(Succeed(), "%s on %s", strings.Join(argv, " "), node)
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

var _ = Describe("the tools layer", vm, notNetns, tools, func() {
	It("runs a container and a guest inside a node", func(ctx SpecContext) {
		g := up(ctx, withTools(officeOnly))
		g.works(ctx, "node")
		g.hasTool(ctx, "node", "docker", "version")

		By("a container of nothing but busybox")
		g.inside(ctx, "node", "sh", "-ec", `
			mkdir -p /tmp/c/bin /tmp/c/lib /tmp/c/lib64
			cp -L $(command -v busybox) /tmp/c/bin/busybox
			ln -sf busybox /tmp/c/bin/sh
			cp -L /lib64/ld-linux-x86-64.so.2 /tmp/c/lib64
			cp -L /lib/x86_64-linux-gnu/libc.so.6 /lib/x86_64-linux-gnu/libresolv.so.2 /tmp/c/lib
			tar -C /tmp/c -c . | docker import - mini:1`)
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
		Eventually(ctx, func() bool { return wire.mentions(inner) }).WithTimeout(contextTimeout(ctx)).Should(BeTrue(), "a frame within a frame")
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
