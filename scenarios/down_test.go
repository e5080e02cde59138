package scenarios

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

var _ = Describe("a node that is to go down", netns, notVM, func() {
	It("begins no command while it is drained, and then all that waited", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		before := g.gated(ctx, "before")
		before.comes(ctx, "half")
		g.typed(ctx, "node", "drain", "node")
		_, errs, code := g.g8os(ctx, "exec", "node", "--", "true")
		Expect(code).NotTo(BeZero())
		Expect(errs).To(And(ContainSubstring("the node is drained since"), ContainSubstring("g8os node undrain")))
		waits := strings.TrimSpace(g.typed(ctx, "exec", "-d", "--queue", "10m", "node", "--", "true"))
		Expect(g.typed(ctx, "facts", "node")).NotTo(BeEmpty(), "what g8os_core does itself is done")
		before.open()
		Expect(g.ends(ctx, before.id).states()).To(Equal([]string{"node error"}), "what runs goes on")
		Expect(g.job(ctx, waits).states()).To(Equal([]string{"node queued"}))
		g.typed(ctx, "node", "undrain", "node")
		Expect(g.ends(ctx, waits).states()).To(Equal([]string{"node success"}))
	}, patience)

	It("ends jobs, whose results reach the AC, then services, then the volume", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.managed(ctx)
		Expect(g.declares(ctx, "node", "db", diary("db"))).To(HaveField("Code", 0))
		g.serves(ctx, "node", "db", "ready", in("ready"))
		job := strings.TrimSpace(g.typed(ctx, "exec", "-d", "--queue", "10m", "node", "--", "sh", "-c", `trap "echo job ends >>/tmp/diary; exit 0" TERM; while :; do sleep 1000 & wait; done`))
		Eventually(ctx, func() []string { return g.job(ctx, job).states() }).WithTimeout(stepTimeout()).Should(Equal([]string{"node running"}))
		Expect(g.typed(ctx, "node", "poweroff", "node")).To(ContainSubstring("power off, now"))
		Expect(g.ends(ctx, job).states()).To(Equal([]string{"node killed"}), "the AC hears of it before the node has gone")
		g.logged(ctx, g.Node("node"), "g8os_core ends")
		Expect(g.inside(ctx, "node", "cat", "/tmp/diary")).To(HaveSuffix("db is up\njob ends\ndb ends\n"))
		Eventually(ctx, func() string { return g.inside(ctx, "node", "cat", "/proc/mounts") }).WithTimeout(stepTimeout()).
			ShouldNot(ContainSubstring(" /mnt/etc "))
		ok(g.Node("node").StartCore(ctx))
		g.managed(ctx)
		g.serves(ctx, "node", "db", "ready again", in("ready"))
	}, patience)
})

// kept is a diary on the state disk: it is there after the machine has gone.
func kept(diary string) string { return strings.ReplaceAll(diary, "/tmp/", "/state/") }

var _ = Describe("a machine that is told to go down", vm, notNetns, func() {
	It("ends jobs and services in order before it goes, is managed again after a reboot, and off after a poweroff", func(ctx SpecContext) {
		g := up(ctx, officeOnly)
		g.works(ctx, "node")
		Expect(g.declares(ctx, "node", "db", kept(diary("db")))).To(HaveField("Code", 0))
		Expect(g.declares(ctx, "node", "web", "after = [\"db\"]\n"+kept(diary("web")))).To(HaveField("Code", 0))
		const begun, ended = "db begins\ndb is up\nweb begins\nweb is up\n", "job ends\nweb ends\ndb ends\n"
		for _, how := range []string{"reboot", "poweroff"} {
			By(how)
			g.serves(ctx, "node", "web", "ready", in("ready"))
			job := strings.TrimSpace(g.typed(ctx, "exec", "-d", "--queue", "10m", "node", "--", "sh", "-c",
				kept(`trap "echo job ends >>/tmp/diary; exit 0" TERM; while :; do sleep 1000 & wait; done`)))
			Eventually(ctx, func() []string { return g.job(ctx, job).states() }).WithTimeout(stepTimeout()).Should(Equal([]string{"node running"}))
			boot := g.boot(ctx, "node")
			if how == "reboot" {
				Expect(g.typed(ctx, "node", "reboot", "node", "--wait")).To(ContainSubstring("node: managed again after "))
			} else {
				Expect(g.typed(ctx, "node", "poweroff", "node")).To(ContainSubstring("power off, now"))
				ok(g.Node("node").WaitOff(ctx))
				Expect(g.console(g.Node("node"))).To(ContainSubstring("reboot: Power down"))
				ok(g.Node("node").PowerCut(ctx)) // of what the lab has beside the machine
				ok(g.Node("node").PowerOn(ctx))
			}
			g.works(ctx, "node")
			Expect(g.boot(ctx, "node")).NotTo(Equal(boot))
			Expect(g.ends(ctx, job).states()).To(Equal([]string{"node killed"}))
			g.serves(ctx, "node", "web", "ready again", in("ready"))
			Expect(g.inside(ctx, "node", "cat", "/state/diary")).To(Equal(begun + ended + begun))
			Expect(g.inside(ctx, "node", "dmesg")).NotTo(ContainSubstring("recovery complete"), "the disk was unmounted")
			g.inside(ctx, "node", "sh", "-c", "printf '"+strings.ReplaceAll(begun, "\n", `\n`)+"' >/state/diary")
		}
		Expect(g.inside(ctx, "node", "cat", "/var/log/g8os/boot.log.1")).To(ContainSubstring("=== ended: power off"))
	}, patience)
})

var _ = Describe("an upgrade of a fleet", netns, notVM, func() {
	It("halts at its canary when that takes the new one back; jobs and services go on throughout", func(ctx SpecContext) {
		g := up(ctx, threeInOffice)
		g.managed(ctx)
		version := g.status(ctx, "one").Version
		Expect(g.declares(ctx, "one", "db", diary("db"))).To(HaveField("Code", 0))
		db := g.serves(ctx, "one", "db", "ready", in("ready"))
		job := strings.TrimSpace(g.typed(ctx, "exec", "-d", "--queue", "10m", "one", "--", "sh", "-c", "until [ -e /etc/g8os/open ]; do sleep 0.05; done; echo done; exit 7"))

		u := g.upgraded(ctx, script("exit 1"), "v9-broken", nil)
		Expect(u.State).To(Equal("halted"), "%+v", u)
		Expect(u.Counts).To(And(HaveKeyWithValue(BeEquivalentTo("rolled back"), 1), HaveKeyWithValue(BeEquivalentTo("waiting"), 2)), "%+v", u)
		for _, name := range []string{"one", "two", "three"} {
			g.runs(ctx, name, version)
		}

		By("one that is whole reaches all")
		g.typed(ctx, "upgrade", "halt")
		file, other, err := g.OtherCore(ctx, "second")
		ok(err)
		u = g.upgraded(ctx, file, other, nil)
		Expect(u.State).To(Equal("done"), "%+v", u)
		for _, name := range []string{"one", "two", "three"} {
			g.reaches(ctx, name, "managed as "+other, func(s lab.Status) bool { return s.Phase == "managed" && s.Version == other })
		}
		Expect(g.services(ctx, "one")["db"]).To(And(HaveField("State", "ready"), HaveField("PID", db.PID), HaveField("Restarts", 0)))
		g.inside(ctx, "one", "touch", "/etc/g8os/open")
		Expect(g.ends(ctx, job).Runs[0]).To(HaveField("State", "error"), "it ran to its end, with its exit code")
	}, patience)
})
