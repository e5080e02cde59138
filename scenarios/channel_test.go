package scenarios

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// noise is a file of random bytes.
func noise(path string, size int) string {
	GinkgoHelper()
	text := make([]byte, size)
	_, _ = rand.Read(text)
	ok(os.WriteFile(path, text, 0o640))
	return path
}

// forwards starts g8os forward and returns where it listens, one address a port.
func (g *grid) forwards(ctx context.Context, as, node string, ports ...string) []string {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(ctx)
	cmd := g.commandAs(ctx, as, append([]string{"forward", node}, ports...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = GinkgoWriter
	out, err := cmd.StdoutPipe()
	ok(err)
	ok(cmd.Start())
	DeferCleanup(func() {
		cancel()
		_ = cmd.Wait()
		Expect(cmd.ProcessState.ExitCode()).To(BeZero(), "g8os forward after Ctrl-C")
	})
	lines, listen := bufio.NewScanner(out), []string{}
	for range ports {
		Expect(lines.Scan()).To(BeTrue(), "g8os forward says nothing")
		address, _, _ := strings.Cut(lines.Text(), " ")
		listen = append(listen, address)
	}
	return listen
}

// greets demands that an ssh server is at an address.
func greets(ctx context.Context, address string) {
	GinkgoHelper()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	ok(err)
	defer c.Close()
	banner, err := bufio.NewReader(c).ReadString('\n')
	ok(err)
	Expect(banner).To(HavePrefix("SSH-2.0-"))
}

// sum is the SHA-256 of a file on a node.
func (g *grid) sum(ctx context.Context, node, path string) string {
	GinkgoHelper()
	return strings.Fields(g.inside(ctx, node, "sha256sum", path))[0]
}

var _ = Describe("a channel to a node", Label("channel"), netns, notVM, func() {
	It("copies files and folders both ways, whole or not at all", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		dir := GinkgoT().TempDir()
		big := noise(filepath.Join(dir, "big"), 64<<20)

		By("64 MiB there and back")
		said := g.done(ctx, "", "cp", big, "node:/tmp/")
		Expect(said).To(HaveSuffix(g.sum(ctx, "node", "/tmp/big")))
		g.done(ctx, "", "cp", "node:/tmp/big", filepath.Join(dir, "back"))
		ok(exec.CommandContext(ctx, "cmp", big, filepath.Join(dir, "back")).Run(), "what came back is another file")
		Expect(g.inside(ctx, "node", "stat", "-c", "%a", "/tmp/big")).To(Equal("640\n"))

		By("a folder there, and back under another name")
		ok(os.MkdirAll(filepath.Join(dir, "tree", "sub"), 0o750))
		noise(filepath.Join(dir, "tree", "sub", "a"), 70_000)
		ok(os.Symlink("sub/a", filepath.Join(dir, "tree", "link")))
		Expect(g.operate(ctx, "", "cp", filepath.Join(dir, "tree"), "node:/tmp/")).To(And(HaveField("Code", 1), HaveField("Stderr", ContainSubstring("copy it with -r"))))
		g.done(ctx, "", "cp", "-r", filepath.Join(dir, "tree"), "node:/tmp/")
		g.done(ctx, "", "cp", "-r", "node:/tmp/tree", filepath.Join(dir, "again"))
		ok(exec.CommandContext(ctx, "diff", "-r", filepath.Join(dir, "tree"), filepath.Join(dir, "again")).Run(), "the folder is another")
		Expect(g.inside(ctx, "node", "sh", "-c", "readlink /tmp/tree/link; stat -c %a /tmp/tree/sub")).To(Equal("sub/a\n750\n"))

		By("from stdin, to stdout")
		in := g.command(ctx, "cp", "-", "node:/tmp/in")
		in.Stdin = strings.NewReader("piped\n")
		ok(in.Run())
		Expect(g.operate(ctx, "", "cp", "node:/tmp/in", "-").Stdout).To(Equal("piped\n"))

		By("one that is broken off")
		g.inside(ctx, "node", "mkdir", "/tmp/cut")
		cut := g.command(ctx, "cp", "-", "node:/tmp/cut/file")
		pipe, err := cut.StdinPipe()
		ok(err)
		ok(cut.Start())
		_, err = pipe.Write(make([]byte, 4<<20))
		ok(err)
		Expect(g.inside(ctx, "node", "ls", "-A", "/tmp/cut")).To(HavePrefix(".g8os-"))
		ok(cut.Process.Kill())
		_ = cut.Wait()
		Eventually(func() string { return g.inside(ctx, "node", "ls", "-A", "/tmp/cut") }, stepTimeout(), 100*time.Millisecond).Should(BeEmpty())
		g.audited(ctx, "node", "channel", "granted", "closed: put: /tmp/cut/file")
	}, patience)

	It("is a shell at a terminal, and ends with its operator's right to it", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		s := g.operate(ctx, "", "shell", "node", "--", "sh", "-c", "hostname; echo err >&2; exit 7")
		Expect(s).To(Equal(said{"node\n", "err\n", 7}))
		Expect(g.operate(ctx, "", "shell", "node", "--", "no-such-program").Code).To(Equal(127))

		By("a terminal")
		cmd := g.command(ctx, "shell", "node")
		cmd.Env = append(os.Environ(), "TERM=vt100")
		tty, err := lab.Terminal(cmd, 31, 97)
		ok(err)
		defer tty.Close()
		_, err = io.WriteString(tty, "stty size; echo $((6*7)) $TERM $0; exit 5\r")
		ok(err)
		out, _ := io.ReadAll(tty) // to EIO, its end
		_ = cmd.Wait()
		Expect(string(out)).To(And(ContainSubstring("31 97"), ContainSubstring("42 vt100 -")))
		Expect(cmd.ProcessState.ExitCode()).To(Equal(5))

		By("an operator who is revoked while he is in it")
		bob := filepath.Join(GinkgoT().TempDir(), "bob")
		g.done(ctx, "", "operator", "add", "bob", "--role", "operator", "--for", "1h", "--out", bob)
		bob = filepath.Join(bob, "bob.toml")
		held := g.commandAs(ctx, bob, "shell", "node", "--", "sh", "-c", "echo $$; exec sleep 3600")
		stdin, err := held.StdinPipe()
		ok(err)
		defer stdin.Close()
		stdout, err := held.StdoutPipe()
		ok(err)
		ok(held.Start())
		pid, err := bufio.NewReader(stdout).ReadString('\n')
		ok(err)
		g.done(ctx, "", "operator", "revoke", "bob")
		_ = held.Wait()
		Expect(held.ProcessState.ExitCode()).To(Equal(255))
		Eventually(func() string {
			return g.inside(ctx, "node", "sh", "-c", "kill -0 "+strings.TrimSpace(pid)+" 2>/dev/null || echo gone")
		}, stepTimeout(), 100*time.Millisecond).Should(Equal("gone\n"))
	}, patience)

	It("forwards ports to a node, and to what it can reach", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		at := g.forwards(ctx, g.Name(), "node", "0:22", "0:192.168.7.2:8966", "0:9")
		greets(ctx, at[0])
		web := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		res, err := web.Get("https://" + at[1] + "/healthz")
		ok(err)
		defer res.Body.Close()
		Expect(res.StatusCode).To(Equal(http.StatusOK))

		By("nobody is at port 9, which ends that connection only")
		c, err := net.Dial("tcp", at[2])
		ok(err)
		_, err = io.ReadAll(c)
		_ = c.Close()
		Expect(err).To(Or(BeNil(), HaveOccurred()))
		greets(ctx, at[0])
	}, patience)

	It("goes through any of three ACs", Label("acs"), func(ctx SpecContext) {
		g := up(ctx, threeACsFile())
		g.managed(ctx)
		dir := GinkgoT().TempDir()
		file := noise(filepath.Join(dir, "file"), 8<<20)
		for _, ac := range []string{"ac1", "ac2", "ac3"} {
			as := filepath.Join(dir, ac+".toml")
			ok(g.AC(ac).WriteContext(as))
			Expect(g.operate(ctx, as, "shell", "isolated-1", "--", "hostname").Stdout).To(Equal("isolated-1\n"), "through %s", ac)
			g.done(ctx, as, "cp", file, "isolated-1:/tmp/"+ac)
			g.done(ctx, as, "cp", "isolated-1:/tmp/"+ac, filepath.Join(dir, "back"))
			ok(exec.CommandContext(ctx, "cmp", file, filepath.Join(dir, "back")).Run(), fmt.Sprintf("through %s another file came back", ac))
			greets(ctx, g.forwards(ctx, as, "isolated-1", "0:22")[0])
		}
	}, patience)
})
