package scenarios

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// chipped is officeOnly with a TPM in its node; chippedPair has two.
var (
	chipped     = strings.Replace(officeOnly, "{name: node,", "{name: node, tpm: true,", 1)
	chippedPair = strings.Replace(officeOnly, "{name: node,", "{name: node, tpm: true, count: 2,", 1)
)

// needsTPM skips a spec where no TPM can be had.
func needsTPM() {
	GinkgoHelper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		Skip("swtpm is not installed: ci/install vm")
	}
}

// sealed demands that nothing on a node's disk opens without its TPM.
func (g *grid) sealed(ctx context.Context, node string) {
	GinkgoHelper()
	files := g.inside(ctx, node, "ls", "/etc/g8os")
	Expect(files).To(ContainSubstring("device.tpm"))
	Expect(files).NotTo(ContainSubstring("device.key"), "the device key lies on the disk")
	for _, copy := range []string{"keyslots", "keyslots.prev"} {
		text := g.inside(ctx, node, "cat", "/etc/g8os/"+copy)
		Expect(strings.Count(text, `"kind":"unlock"`)).To(And(BeNumerically(">", 0), Equal(strings.Count(text, `"tpm":true`))), copy)
	}
}

// reboots cuts a node's power and gives it back.
func (g *grid) reboots(ctx context.Context, node string) {
	GinkgoHelper()
	ok(g.Node(node).PowerCut(ctx))
	ok(g.Node(node).PowerOn(ctx))
}

// recover types a recovery key, or nothing, at a node.
func (g *grid) recover(ctx context.Context, node, key string, argv ...string) lab.Result {
	GinkgoHelper()
	line := `printf '%s\n' "$0" | ` + g.program(ctx, node) + " recover " + strings.Join(argv, " ")
	r, err := g.Node(node).Exec(ctx, "sh", "-c", line, key)
	ok(err)
	return r
}

var _ = Describe("a node with a TPM", netns, vm, func() {
	It("keeps no key in clear, and unlocks over power cuts and rotations of its share", short, func(ctx SpecContext) {
		needsTPM()
		g := up(ctx, chipped)
		g.managed(ctx)
		g.sealed(ctx, "node")
		fingerprint := g.status(ctx, "node").Fingerprint
		g.reboots(ctx, "node")
		g.works(ctx, "node")
		g.done(ctx, "", "rotate", "unlock", "node", "--watch")
		g.reboots(ctx, "node")
		g.works(ctx, "node")
		g.sealed(ctx, "node")
		Expect(g.status(ctx, "node").Fingerprint).To(Equal(fingerprint))
	}, patience)
})

var _ = Describe("a node whose TPM", netns, notVM, func() {
	It("was cleared says so, opens with its recovery key, and is the same node to the AC from then on", func(ctx SpecContext) {
		needsTPM()
		g := up(ctx, chippedPair)
		g.managed(ctx)
		n := g.Node("node-1")
		fingerprint := g.status(ctx, "node-1").Fingerprint
		host := g.inside(ctx, "node-1", "sha256sum", "/mnt/etc/ssh/ssh_host_ed25519_key")
		key := g.done(ctx, "", "recovery", "show", "node-1")
		ok(n.PowerCut(ctx))
		ok(n.ClearTPM())
		ok(n.PowerOn(ctx))
		s := g.reaches(ctx, "node-1", "says that its TPM is lost", waits("unlock", "TPM"))
		Expect(s.WaitsFor).To(And(ContainSubstring("g8os_core recover"), ContainSubstring("g8os recovery show"), ContainSubstring("--give-up")))
		ciphertext := g.ciphertext(ctx, "node-1")
		Consistently(ctx, func() string { return g.status(ctx, "node-1").Phase }).WithTimeout(aWhile / 4).Should(Equal("unlock"))
		Expect(g.ciphertext(ctx, "node-1")).To(Equal(ciphertext))
		g.works(ctx, "node-2")

		Expect(g.recover(ctx, "node-1", key)).To(And(HaveField("Code", 0), HaveField("Stdout", ContainSubstring("unlocks with the AC again"))))
		g.works(ctx, "node-1")
		g.reboots(ctx, "node-1")
		g.works(ctx, "node-1")
		g.sealed(ctx, "node-1")
		Expect(g.status(ctx, "node-1").Fingerprint).To(Equal(fingerprint))
		Expect(g.inside(ctx, "node-1", "sha256sum", "/mnt/etc/ssh/ssh_host_ed25519_key")).To(Equal(host))
		g.done(ctx, "", "rotate", "unlock", "node-1", "--watch")
	}, patience)

	It("was cleared, and whose recovery key is lost, can be given up and joins as a new one", func(ctx SpecContext) {
		needsTPM()
		g := up(ctx, chipped)
		g.managed(ctx)
		n := g.Node("node")
		ok(n.PowerCut(ctx))
		ok(n.ClearTPM())
		ok(n.PowerOn(ctx))
		g.reaches(ctx, "node", "says that its TPM is lost", waits("unlock", "TPM"))
		g.done(ctx, "", "node", "retire", "node")
		Expect(g.recover(ctx, "node", "", "--give-up")).To(And(HaveField("Code", 0), HaveField("Stdout", ContainSubstring("reboot now"))))
		g.reboots(ctx, "node")
		g.works(ctx, "node")
		g.sealed(ctx, "node")
		Expect(g.inside(ctx, "node", "ls", "/etc/g8os")).To(ContainSubstring("private.given-up"), "something was destroyed")
	}, patience)
})

var _ = Describe("the disk of a node with a TPM", netns, notVM, func() {
	It("opens nothing in another machine, with the network of the first and an AC that would give it its share", func(ctx SpecContext) {
		needsTPM()
		g := up(ctx, chippedPair)
		g.managed(ctx)
		owner, thief := g.Node("node-1"), g.Node("node-2")
		ok(owner.PowerCut(ctx))
		ok(thief.PowerCut(ctx))
		before := g.record(ctx, "node-1", stands("enrolled", ""))
		ok(os.RemoveAll(thief.Disk()))
		ok(os.CopyFS(thief.Disk(), os.DirFS(owner.Disk())))
		ok(thief.PowerOn(ctx))
		s := g.reaches(ctx, "node-2", "has no key", waits("unlock", "TPM"))
		Expect(s.Fingerprint).To(BeEmpty(), "it has a device key")
		Consistently(ctx, func() string { return g.status(ctx, "node-2").Phase }).WithTimeout(2 * time.Second).Should(Equal("unlock"))
		Expect(g.inside(ctx, "node-2", "sh", "-c", "find /mnt/etc -type f 2>/dev/null || true")).To(BeEmpty())

		By("the owner is not held to be a clone")
		ok(thief.PowerCut(ctx))
		ok(owner.PowerOn(ctx))
		g.works(ctx, "node-1")
		Expect(g.record(ctx, "node-1", stands("enrolled", "")).Fingerprint).To(Equal(before.Fingerprint))
	}, patience)
})
