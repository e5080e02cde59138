package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// shownService is what g8os says of a service.
type shownService struct {
	Name, State, Why string
	PID, Restarts    int
	Last             *struct {
		Known bool
		Code  int
	}
}

// services of a node by name, as the AC shows them.
func (g *grid) services(ctx context.Context, node string) map[string]shownService {
	GinkgoHelper()
	var list struct{ Services []shownService }
	ok(json.Unmarshal([]byte(g.done(ctx, "", "service", "list", node, "-o", "json")), &list))
	all := map[string]shownService{}
	for _, s := range list.Services {
		all[s.Name] = s
	}
	return all
}

// serves waits until a service fulfils a condition.
func (g *grid) serves(ctx context.Context, node, name, what string, holds func(shownService) bool) (s shownService) {
	GinkgoHelper()
	Eventually(ctx, func() bool { s = g.services(ctx, node)[name]; return holds(s) }).WithTimeout(stepTimeout()).
		Should(BeTrue(), func() string { return fmt.Sprintf("%s is not %s: %+v", name, what, s) })
	return s
}

func in(state string) func(shownService) bool {
	return func(s shownService) bool { return s.State == state }
}

// declares gives a node a service by way of its AC.
func (g *grid) declares(ctx context.Context, node, name, keys string) said {
	GinkgoHelper()
	file := filepath.Join(GinkgoT().TempDir(), name+".toml")
	ok(os.WriteFile(file, []byte("[service."+name+"]\n"+keys), 0o600))
	return g.operate(ctx, "", "service", "declare", node, name, file)
}

// diary is a service that writes when it begins and ends, and is ready a while
// after.
func diary(name string) string {
	return fmt.Sprintf(`command = """
echo %[1]s begins >>/tmp/diary
trap 'echo %[1]s ends >>/tmp/diary; exit 0' TERM
sleep 1
echo %[1]s is up; echo %[1]s is up >>/tmp/diary
while :; do sleep 1000 & wait; done
"""
ready = { output = "is up", timeout = "30s" }
backoff = { min = "100ms", max = "1s" }
`, name)
}

// looping ends at once, as often as it may.
const looping = `
command = "echo the disk is full; exit 3"
backoff = { min = "100ms", max = "1s" }
limit = { starts = 3, within = "1m" }
`

var _ = Describe("the services of a node", netns, notVM, func() {
	It("begin and end in order, come back, and fail aloud", func(ctx SpecContext) {
		g := up(ctx, measuring)
		g.managed(ctx)
		ac, n := g.AC("ac1"), g.Node("node")

		By("two are declared, the one that needs the other first")
		g.inside(ctx, "node", "sh", "-c", `mkdir -p /mnt/etc/services.d && printf %s "$0" >/mnt/etc/services.d/both.toml`,
			"[service.web]\nafter = [\"db\"]\n"+diary("web")+"[service.db]\nafter = [\"sshd\"]\n"+diary("db"))
		g.done(ctx, "", "service", "reload", "node")
		first := g.serves(ctx, "node", "web", "ready", in("ready"))
		Expect(g.inside(ctx, "node", "cat", "/tmp/diary")).To(Equal("db begins\ndb is up\nweb begins\nweb is up\n"))
		Expect(g.done(ctx, "", "service", "logs", "node", "web")).To(Equal("web is up"))

		By("one is killed")
		g.inside(ctx, "node", "kill", "-KILL", fmt.Sprint(first.PID))
		again := g.serves(ctx, "node", "web", "back", func(s shownService) bool { return s.State == "ready" && s.Restarts == 1 })
		Expect(again.PID).NotTo(Equal(first.PID))
		Expect(*again.Last).To(And(HaveField("Known", true), HaveField("Code", 137)))

		By("sshd is one of them, but for its end")
		sshd := g.serves(ctx, "node", "sshd", "ready", in("ready"))
		g.done(ctx, "", "service", "restart", "node", "sshd")
		g.serves(ctx, "node", "sshd", "started anew", func(s shownService) bool { return s.State == "ready" && s.PID != sshd.PID })
		Expect(g.operate(ctx, "", "service", "stop", "node", "sshd")).To(And(HaveField("Code", 1), HaveField("Stderr", ContainSubstring("cannot be stopped"))))

		By("one that ends again and again, declared from the AC")
		Expect(g.declares(ctx, "node", "loop", looping).Code).To(BeZero())
		loop := g.serves(ctx, "node", "loop", "failed", in("failed"))
		Expect(loop.Why).To(And(ContainSubstring("started 3 times"), ContainSubstring("the disk is full")))
		Eventually(ctx, func() ([]lab.NodeEvent, error) { return ac.Events(ctx, n) }).WithTimeout(stepTimeout()).
			Should(ContainElement(And(HaveField("Source", "service:loop"), HaveField("Level", 8), HaveField("Text", ContainSubstring("has failed")))))
		g.reaches(ctx, "node", "says so", func(s lab.Status) bool { return strings.Contains(strings.Join(s.Services, "\n"), "loop is failed") })
		Eventually(ctx, func() (string, error) { return ac.MetricsPage(ctx) }).WithTimeout(stepTimeout()).
			Should(And(ContainSubstring("g8os_ac_node_services{node=%q} 2\n", n.ID()), ContainSubstring("g8os_ac_node_services_failed{node=%q} 1\n", n.ID())))

		By("a mistake costs its service, at both doors")
		Expect(g.declares(ctx, "node", "typo", "comand = \"true\"\n")).To(And(HaveField("Code", 1), HaveField("Stderr", ContainSubstring("typo.toml:2: service.typo.comand"))))
		g.inside(ctx, "node", "sh", "-c", `printf '[service.bad]\ncommand = "true"\nafter = 7\n' >/mnt/etc/services.d/bad.toml`)
		Expect(g.done(ctx, "", "service", "reload", "node")).To(And(MatchRegexp(`bad +invalid`), ContainSubstring("bad.toml:3: service.bad.after")))
		Expect(g.services(ctx, "node")["web"]).To(And(HaveField("State", "ready"), HaveField("PID", again.PID)))

		By("what others need is stopped, after them")
		g.inside(ctx, "node", "sh", "-c", ">/tmp/diary")
		g.done(ctx, "", "service", "stop", "node", "db")
		Expect(g.inside(ctx, "node", "cat", "/tmp/diary")).To(Equal("web ends\ndb ends\n"))
		Expect(g.services(ctx, "node")["web"].State).To(Equal("blocked"))
		g.done(ctx, "", "service", "start", "node", "db")
		g.serves(ctx, "node", "web", "ready", in("ready"))
	}, patience)

	It("outlive g8os_core, and are not started twice", func(ctx SpecContext) {
		g := up(ctx, measuring)
		g.managed(ctx)
		n := g.Node("node")
		for name, keys := range map[string]string{
			"db":    diary("db"),
			"brief": "command = \"until [ -e /tmp/go ]; do sleep 0.05; done; exit 7\"\nrestart = \"never\"\n",
		} {
			Expect(g.declares(ctx, "node", name, keys)).To(HaveField("Code", 0))
		}
		db, brief := g.serves(ctx, "node", "db", "ready", in("ready")), g.serves(ctx, "node", "brief", "ready", in("ready"))

		By("core is killed; one service ends meanwhile")
		ok(n.KillCore(ctx, syscall.SIGKILL))
		g.inside(ctx, "node", "touch", "/tmp/go")
		Eventually(ctx, func() string {
			return g.inside(ctx, "node", "sh", "-c", "kill -0 $0 2>/dev/null || echo gone", fmt.Sprint(brief.PID))
		}).WithTimeout(stepTimeout()).Should(Equal("gone\n"))
		g.inside(ctx, "node", "kill", "-0", fmt.Sprint(db.PID))

		By("the next core")
		ok(n.StartCore(ctx))
		g.managed(ctx)
		ended := g.serves(ctx, "node", "brief", "failed", in("failed"))
		Expect(*ended.Last).To(And(HaveField("Known", true), HaveField("Code", 7)))
		Expect(g.serves(ctx, "node", "db", "ready", in("ready"))).To(And(HaveField("PID", db.PID), HaveField("Restarts", 0)))
		Expect(g.inside(ctx, "node", "cat", "/tmp/diary")).To(Equal("db begins\ndb is up\n"))

		By("all end when the machine goes down")
		g.inside(ctx, "node", g.program(ctx, "node"), "services", "shutdown")
		Expect(g.inside(ctx, "node", "cat", "/tmp/diary")).To(HaveSuffix("db ends\n"))
		table := g.inside(ctx, "node", g.program(ctx, "node"), "services") // it takes no job any more
		Expect(table).To(And(MatchRegexp(`brief +stopped`), MatchRegexp(`db +stopped`)))
	}, patience)
})
