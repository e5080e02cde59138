package scenarios

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// pair is two nodes on one segment: what happens to one must not touch the other.
var pair = strings.Replace(officeOnly, "{name: node,", "{name: node, count: 2,", 1)

// damage overwrites the middle of files of a node's disk. What the node has in
// memory is not looked at before its next boot.
func (g *grid) damage(ctx context.Context, node string, names ...string) {
	GinkgoHelper()
	for _, name := range names {
		g.inside(ctx, node, "sh", "-ec", `cd /etc/g8os; printf damaged | dd of="$0" bs=1 seek=$(($(wc -c <"$0")/2)) conv=notrunc; sync`, name)
	}
}

// ciphertext is what makes one private volume another.
func (g *grid) ciphertext(ctx context.Context, node string) string {
	GinkgoHelper()
	return g.inside(ctx, node, "sh", "-ec", "cd /etc/g8os/private; find . -type f -exec sha256sum {} + | sort")
}

// content of all files under a directory, by path.
func content(dir string) map[string]string {
	GinkgoHelper()
	all := map[string]string{}
	ok(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir)] = string(text)
		return err
	}))
	return all
}

var _ = Describe("the key-slot file", netns, vm, func() {
	DescribeTable("of which one copy is damaged is mended from the other",
		func(ctx SpecContext, name string) {
			g := up(ctx, officeOnly)
			g.managed(ctx)
			n := g.Node("node")
			key := g.inside(ctx, "node", "sha256sum", "/mnt/etc/ssh/ssh_host_ed25519_key")
			g.damage(ctx, "node", name)
			ok(n.PowerCut(ctx))
			ok(n.PowerOn(ctx))
			g.works(ctx, "node")
			Expect(g.inside(ctx, "node", "sha256sum", "/mnt/etc/ssh/ssh_host_ed25519_key")).To(Equal(key))

			By("the next damage may hit the other one")
			ok(n.PowerCut(ctx))
			ok(n.PowerOn(ctx))
			g.works(ctx, "node")
			Expect(g.inside(ctx, "node", "cat", "/etc/g8os/"+name)).NotTo(ContainSubstring("damaged"))
		},
		Entry("the file itself", "keyslots", patience),
		Entry("the copy beside it", "keyslots.prev", patience),
	)

	It("of which both copies are damaged makes its node wait, with the remedy, its ciphertext untouched, and goes on when restored", func(ctx SpecContext) {
		g := up(ctx, pair)
		g.managed(ctx)
		n := g.Node("node-1")
		g.inside(ctx, "node-1", "cp", "/etc/g8os/keyslots", "/etc/g8os/backup")
		g.damage(ctx, "node-1", "keyslots", "keyslots.prev")
		ok(n.PowerCut(ctx))
		ok(n.PowerOn(ctx))
		s := g.reaches(ctx, "node-1", "says that it needs somebody", waits("unlock", "operator"))
		Expect(s.WaitsFor).To(And(ContainSubstring("/etc/g8os/keyslots"), ContainSubstring("backup")))
		ciphertext := g.ciphertext(ctx, "node-1")
		Expect(ciphertext).NotTo(BeEmpty())
		Consistently(ctx, func() string { return g.status(ctx, "node-1").Phase }).WithTimeout(aWhile / 2).Should(Equal("unlock"))
		Expect(g.ciphertext(ctx, "node-1")).To(Equal(ciphertext))
		g.works(ctx, "node-2")

		By("restored from a backup, without a restart")
		g.inside(ctx, "node-1", "cp", "/etc/g8os/backup", "/etc/g8os/keyslots")
		g.works(ctx, "node-1")
	}, patience)

	It("that is lost is not made anew over a volume that is there", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		n := g.Node("node")
		g.inside(ctx, "node", "sh", "-ec", "cd /etc/g8os; rm keyslots keyslots.prev; sync")
		ok(n.PowerCut(ctx))
		ok(n.PowerOn(ctx))
		g.reaches(ctx, "node", "says that it needs somebody", waits("unlock", "operator"))
		ciphertext := g.ciphertext(ctx, "node")
		Expect(ciphertext).NotTo(BeEmpty())
		Consistently(ctx, func() string { return g.status(ctx, "node").Phase }).WithTimeout(aWhile / 2).Should(Equal("unlock"))
		Expect(g.ciphertext(ctx, "node")).To(Equal(ciphertext))
	}, patience)
})

// stringsIn finds everything in a file that could be a password.
var stringsIn = regexp.MustCompile(`[A-Za-z0-9+/=_.:-]{8,}`)

// opens reports whether a password opens a volume.
func opens(ctx context.Context, volume, password string) bool {
	GinkgoHelper()
	code := gocryptfs(ctx, password, "-fsck", volume)
	Expect(code).To(Or(BeZero(), Equal(wrongPassword)))
	return code == 0
}

// wrongPassword is gocryptfs' exit code for it.
const wrongPassword = 12

// gocryptfs runs it and returns its exit code.
func gocryptfs(ctx context.Context, password string, argv ...string) int {
	GinkgoHelper()
	bin, err := lab.FindBinDir("")
	ok(err)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "gocryptfs"), append([]string{"-q"}, argv...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+GinkgoT().TempDir()) // -fsck leaves a mount point behind when it fails
	cmd.Stdin = strings.NewReader(password + "\n")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		ok(err, "%s", out)
	}
	return lab.ExitCode(cmd.ProcessState)
}

// steal copies a node's disk, as far as it is files, into a folder of the thief's.
func (g *grid) steal(ctx context.Context, node string) string {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	tar := exec.CommandContext(ctx, "tar", "-C", dir, "-xf", "-")
	tar.Stdin = strings.NewReader(g.inside(ctx, node, "tar", "-C", "/etc/g8os", "-cf", "-", "."))
	out, err := tar.CombinedOutput()
	ok(err, "%s", out)
	return dir
}

// blocks of a node's state disk, those of deleted files too, as a file. The
// node has no power.
func blocks(ctx context.Context, n *lab.Node) string {
	GinkgoHelper()
	raw := filepath.Join(GinkgoT().TempDir(), "raw")
	out, err := exec.CommandContext(ctx, "qemu-img", "convert", "-O", "raw", n.Disks()[0], raw).CombinedOutput()
	ok(err, "%s", out)
	return raw
}

// holds reports whether a file has a text somewhere.
func holds(ctx context.Context, file, text string) bool {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, "grep", "-aqF", "--", text, file)
	err := cmd.Run()
	if code := lab.ExitCode(cmd.ProcessState); code > 1 {
		ok(err)
	}
	return err == nil
}

var _ = Describe("a stolen disk", netns, vm, func() {
	It("shows nothing of the private files, and no string on it opens the volume", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		var secrets []string
		for _, file := range []string{"ssl/client.key", "ssh/ssh_host_ed25519_key", "ssh/authorized_keys"} {
			for line := range strings.Lines(g.inside(ctx, "node", "cat", "/mnt/etc/"+file)) {
				if line = strings.TrimSpace(line); len(line) > 20 && !strings.HasPrefix(line, "-----") && !strings.HasPrefix(line, "#") {
					secrets = append(secrets, line)
				}
			}
		}
		Expect(len(secrets)).To(BeNumerically(">", 5))
		device := strings.Split(g.inside(ctx, "node", "cat", "/etc/g8os/device.key"), "\n")[1]
		thief := g.steal(ctx, "node")
		ok(g.Node("node").PowerCut(ctx))
		if onMachines() {
			disk := blocks(ctx, g.Node("node"))
			Expect(holds(ctx, disk, device)).To(BeTrue(), "it is where one looks")
			for _, s := range secrets {
				Expect(holds(ctx, disk, s)).To(BeFalse(), "a block of the disk has a line of a private file in clear")
			}
		}
		passwords := map[string]bool{}
		for file, text := range content(thief) {
			for _, s := range secrets {
				Expect(strings.Contains(text, s)).To(BeFalse(), "%s has a line of a private file in clear", file)
			}
			if strings.HasPrefix(file, "/private/") && !strings.HasSuffix(file, ".conf") {
				continue
			}
			for _, s := range stringsIn.FindAllString(text, -1) {
				passwords[s] = true
				if raw, err := base64.StdEncoding.DecodeString(s); err == nil {
					passwords[hex.EncodeToString(raw)] = true // the form in which gocryptfs gets it
				}
			}
		}
		Expect(len(passwords)).To(BeNumerically(">", 5))
		for p := range passwords {
			Expect(opens(ctx, filepath.Join(thief, "private"), p)).To(BeFalse(), "%q opens the volume", p)
		}

		By("a volume whose password is known does open in this way")
		own := GinkgoT().TempDir()
		Expect(gocryptfs(ctx, "a password", "-init", "-scryptn", "10", own)).To(BeZero())
		Expect(opens(ctx, own, "a password")).To(BeTrue())
	}, patience)
})
