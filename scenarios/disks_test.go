package scenarios

import (
	"context"
	"fmt"
	"os/exec"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// nothing is for commands whose input and output do not matter.
func nothing(*exec.Cmd) {}

// scribble overwrites parts of a node's state disk while it has no power: a
// byte, from where, how much, as qemu-io(1) has them.
func scribble(ctx context.Context, n *lab.Node, pattern byte, places ...string) {
	GinkgoHelper()
	var argv []string
	for _, p := range places {
		argv = append(argv, "-c", fmt.Sprintf("write -P %d %s", pattern, p))
	}
	out, err := exec.CommandContext(ctx, "qemu-io", append(argv, n.Disks()[0])...).CombinedOutput()
	ok(err, "%s", out)
}

// Where an ext4 file system of 512 MiB as mkfs makes it has its parts.
var (
	superblock = []string{"1024 1024"}
	someBlocks = []string{"21M 8k", "37M 4k", "64M 64k", "129M 16k", "200M 4k", "301M 8k"}
	journal    = []string{"256M 4k", "257M 64k"}
	everywhere = []string{"0 320M"}
)

var _ = Describe("the state disk", vm, notNetns, func() {
	It("that is not there is done without: the node runs from memory, says so, and is managed", short, func(ctx SpecContext) {
		g := up(ctx, machineOf("state: none"))
		g.works(ctx, "node")
		g.holdsOn(ctx, "node")
		g.saysOnConsole(ctx, g.Node("node"), "runs from memory")
		Expect(g.inside(ctx, "node", "cat", "/proc/mounts")).NotTo(ContainSubstring(" /state "))

		By("after a power cut it is somebody else, whom the AC does not let in by itself")
		ok(g.Node("node").PowerCut(ctx))
		ok(g.Node("node").PowerOn(ctx))
		g.reaches(ctx, "node", "refused", waits("unlock", "refused"))
		g.audited(ctx, "node", "unlock", "refused", "another device key is pinned")
	}, patience)

	DescribeTable("that is damaged is mended, or left as it is: the node says so, climbs, and formats nothing",
		func(ctx SpecContext, places []string) {
			breaks("EXT4-fs error")
			g := up(ctx, officeOnly)
			g.works(ctx, "node")
			n := g.Node("node")
			g.inside(ctx, "node", "sh", "-c", "echo precious >/state/precious; sync")
			before := g.identity(ctx, "node")
			ok(n.PowerCut(ctx))
			scribble(ctx, n, 0, places...)
			ok(n.PowerOn(ctx))
			s := g.reaches(ctx, "node", "as far as it can", func(s lab.Status) bool {
				return s.Phase == "managed" || waits("unlock", "refused")(s)
			})
			if s.Phase == "managed" {
				Expect(g.identity(ctx, "node")).To(Equal(before))
				Expect(g.inside(ctx, "node", "cat", "/state/precious")).To(Equal("precious\n"))
				return
			}
			g.saysOnConsole(ctx, n, "runs from memory")
			Expect(g.inside(ctx, "node", "cat", "/proc/mounts")).NotTo(ContainSubstring(" /state "))
		},
		Entry("its superblock zeroed", superblock, patience),
		Entry("blocks all over it", someBlocks, patience),
		Entry("in its journal", journal, patience),
	)

	It("of which nothing can be read any more is not touched", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.works(ctx, "node")
		n := g.Node("node")
		ok(n.PowerCut(ctx))
		scribble(ctx, n, 0xa5, everywhere...)
		ok(n.PowerOn(ctx))
		g.reaches(ctx, "node", "refused", waits("unlock", "refused"))
		g.saysOnConsole(ctx, n, "runs from memory")
		ok(n.PowerCut(ctx))
		out, err := exec.CommandContext(ctx, "qemu-io", "-r", "-c", "read -P 0xa5 0 320M", n.Disks()[0]).CombinedOutput()
		ok(err)
		Expect(string(out)).NotTo(ContainSubstring("Pattern verification failed"), "somebody wrote to it")
	}, patience)
})
