package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"os/exec"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/fault"
	facts "github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/real"
)

// threeWays are the ways to an AC.
const threeWays = `
segments:
  - {name: office, subnet: 192.168.7.0/24, static: {first: 192.168.7.10, last: 192.168.7.50}}
  - {name: dhcp, subnet: 192.168.8.0/24, dhcp: {first: 192.168.8.10, last: 192.168.8.250, lease: 2m}}
  - name: isolated
acs:
  - {name: ac1, legs: [{segment: office, address: 192.168.7.2}, {segment: dhcp, address: 192.168.8.2}, {segment: isolated}]}
nodes:
  - {name: office, count: 2, nics: [{segment: office, method: static}]}
  - {name: dhcp, count: 1, nics: [{segment: dhcp}]}
  - {name: isolated, count: 1, nics: [{segment: isolated}]}
`

// faulty is a lab and its faults: they are added here and healed by another
// process.
type faulty struct {
	*grid
	faults *real.Grid
}

// upFaulty brings threeWays up, all nodes managed.
func upFaulty(ctx context.Context) *faulty {
	GinkgoHelper()
	g := up(ctx, threeWays)
	faults, err := real.Open(g.Lab)
	ok(err)
	DeferCleanup(func(ctx SpecContext) { ok(faults.Close(ctx)) }, NodeTimeout(time.Minute))
	g.managed(ctx)
	return &faulty{g, faults}
}

// g8lab runs it as another process, and returns what it says and its exit code.
func (f *faulty) g8lab(ctx context.Context, args ...string) (out, errs string, code int) {
	GinkgoHelper()
	cmd := f.command(ctx, args...)
	var o, x strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &x
	err := cmd.Run()
	if cmd.ProcessState == nil {
		ok(err)
	}
	return o.String(), x.String(), lab.ExitCode(cmd.ProcessState)
}

func (f *faulty) command(ctx context.Context, args ...string) *exec.Cmd {
	GinkgoHelper()
	bin, err := lab.FindBinDir("")
	ok(err)
	return exec.CommandContext(ctx, filepath.Join(bin, "g8lab"), append([]string{"--lab", f.Name()}, args...)...)
}

// listed are the faults in force, as another process sees them.
func (f *faulty) listed(ctx context.Context) []facts.Applied {
	GinkgoHelper()
	out, errs, code := f.g8lab(ctx, "fault", "list", "-o", "json")
	Expect(code).To(BeZero(), errs)
	var all []facts.Applied
	ok(json.Unmarshal([]byte(out), &all))
	return all
}

// add puts a fault into force and returns what was measured of it.
func (f *faulty) add(ctx context.Context, text string) facts.Applied {
	GinkgoHelper()
	want, err := fault.Parse(text)
	ok(err)
	a, err := f.faults.Add(ctx, want)
	ok(err)
	Expect(a.Measured.How).NotTo(BeEmpty())
	Expect(a.InForce).To(BeNumerically(">=", a.Asked))
	return a
}

// ping sends so many packets, ten bytes or more, from a node to the AC's leg.
func (f *faulty) ping(ctx context.Context, from, to string, args ...string) string {
	GinkgoHelper()
	r, err := f.Node(from).Exec(ctx, append([]string{"ping", "-n", "-i", "0.02", "-W", "1"}, append(args, to)...)...)
	ok(err)
	return r.Stdout
}

const (
	officeAC = "192.168.7.2"
	twenty   = "-c20"
)

// core is what the kernel says of g8os_core of a node.
func (f *faulty) core(ctx context.Context, node string) lab.Job {
	GinkgoHelper()
	j, err := f.Job(ctx, node, lab.CoreJob)
	ok(err)
	return j
}

// answersDHCP has a node begin anew and waits until the scripted server of its
// segment, or of a log, has said something to it.
func (f *faulty) answersDHCP(ctx context.Context, log string, with event) {
	GinkgoHelper()
	path := filepath.Join(f.LogDir(), log)
	before, err := lab.ReadHappenings(path)
	ok(err)
	ok(f.Node("dhcp-1").RestartCore(ctx))
	Eventually(ctx, func() []event {
		now, err := lab.ReadHappenings(path)
		ok(err)
		return now[min(len(before), len(now)):]
	}).WithTimeout(20 * time.Second).WithPolling(20 * time.Millisecond).Should(ContainElement(Satisfy(func(e event) bool { return e["msg"] == "message" && fits(e, with) })))
}

// trial is a fault, and how it shows to somebody who does not ask the lab for
// its faults.
type trial struct {
	fault string
	shows func(ctx context.Context, f *faulty, a facts.Applied)
	ended func(ctx context.Context, f *faulty) // nil: shown by the next trials
}

var linkTrials = []trial{
	{"partition from=office-1 to=ac1", func(ctx context.Context, f *faulty, _ facts.Applied) {
		Expect(f.ping(ctx, "office-1", officeAC, "-c3")).To(ContainSubstring(" 0 received"))
		Expect(f.ping(ctx, "office-2", officeAC, "-c3")).To(ContainSubstring(" 3 received"))
	}, reachesAC},
	{"loss from=office-1 to=ac1 both percent=50", func(ctx context.Context, f *faulty, a facts.Applied) {
		Expect(a.Measured.Percent).To(BeNumerically("~", 50, 5))
		Expect(f.ping(ctx, "office-1", officeAC, "-c40")).NotTo(Or(ContainSubstring("40 received"), ContainSubstring(" 0 received")))
	}, reachesAC},
	{"delay from=office-1 to=ac1 delay=40ms jitter=5ms", func(ctx context.Context, f *faulty, a facts.Applied) {
		Expect(a.Measured.Delay).To(BeNumerically("~", 42500*time.Microsecond, 3*time.Millisecond))
		Expect(f.ping(ctx, "office-1", officeAC, twenty)).To(MatchRegexp(`min/avg/max/mdev = 4\d\.`))
	}, reachesAC},
	{"duplicate from=office-1 to=ac1 percent=100", func(ctx context.Context, f *faulty, _ facts.Applied) {
		Expect(f.ping(ctx, "office-1", officeAC, twenty)).To(ContainSubstring("duplicates"))
	}, reachesAC},
	{"reorder from=office-1 to=ac1 percent=30 delay=50ms", func(ctx context.Context, f *faulty, a facts.Applied) {
		Expect(a.Measured.Percent).To(BeNumerically("~", 30, 5))
		Expect(f.ping(ctx, "office-1", officeAC, "-c40")).To(MatchRegexp(`time=5\d`))
	}, reachesAC},
	{"corrupt from=office-1 to=ac1 percent=100", func(ctx context.Context, f *faulty, _ facts.Applied) {
		Expect(f.ping(ctx, "office-1", officeAC, twenty)).NotTo(ContainSubstring(" 20 received"))
	}, reachesAC},
	{"rate from=office-1 to=ac1 rate=128kbit", func(ctx context.Context, f *faulty, _ facts.Applied) {
		Expect(f.ping(ctx, "office-1", officeAC, "-c10", "-s1400")).To(MatchRegexp(`time=\d{3}`))
	}, reachesAC},
}

// reachesAC demands that the link is as good as it was.
func reachesAC(ctx context.Context, f *faulty) {
	GinkgoHelper()
	text := f.ping(ctx, "office-1", officeAC, twenty)
	Expect(text).To(And(ContainSubstring("20 received, 0% packet loss"), Not(ContainSubstring("duplicates"))))
}

// moved is a card that goes, and another one that comes in its place.
var moved = trial{"move on=office-2 to=isolated", func(ctx context.Context, f *faulty, _ facts.Applied) {
	f.reaches(ctx, "office-2", "managed by fallback", way("fallback"))
}, func(ctx context.Context, f *faulty) {
	f.reaches(ctx, "office-2", "managed as configured", way("configured"))
}}

var nodeTrials = []trial{
	moved,
	{"cable on=office-2", func(ctx context.Context, f *faulty, _ facts.Applied) {
		Expect(f.inside(ctx, "office-2", "ip", "-o", "link", "show", "dev", "eth0")).To(ContainSubstring("NO-CARRIER"))
	}, func(ctx context.Context, f *faulty) {
		Expect(f.inside(ctx, "office-2", "cat", "/sys/class/net/eth0/carrier")).To(Equal("1\n"))
	}},
	{"kill on=office-2", func(ctx context.Context, f *faulty, _ facts.Applied) {
		Expect(f.inside(ctx, "office-2", "sh", "-c", "cat /proc/[0-9]*/comm")).NotTo(ContainSubstring("g8os_core"))
	}, func(ctx context.Context, f *faulty) {
		Expect(f.core(ctx, "office-2").Running()).To(BeTrue())
	}},
	{"pause on=isolated-1", func(ctx context.Context, f *faulty, _ facts.Applied) {
		_, err := f.Node("isolated-1").Status(ctx)
		Expect(err).To(HaveOccurred())
	}, func(ctx context.Context, f *faulty) { f.status(ctx, "isolated-1") }},
	{"power on=isolated-1", func(ctx context.Context, f *faulty, _ facts.Applied) {
		Expect(f.Node("isolated-1").Powered()).To(BeFalse())
	}, func(ctx context.Context, f *faulty) {
		ok(f.Refresh()) // another process has given it power
		Expect(f.Node("isolated-1").Powered()).To(BeTrue())
	}},
	{"clock on=office-2 by=-1000h", func(ctx context.Context, f *faulty, _ facts.Applied) {
		pid := f.core(ctx, "office-2").PID
		Expect(f.inside(ctx, "office-2", "cat", fmt.Sprintf("/proc/%d/cmdline", pid))).To(ContainSubstring("own:-3600000s"))
	}, func(ctx context.Context, f *faulty) {
		Expect(f.core(ctx, "office-2").Argv).To(ContainElement("own"))
	}},
	moved, // also now that g8os_core was started again, and finds on record what was on the old card
	{"disk-read-only on=office-2", func(ctx context.Context, f *faulty, _ facts.Applied) {
		r, err := f.Node("office-2").Exec(ctx, "touch", "/etc/g8os/trial")
		ok(err)
		Expect(r.Stderr).To(ContainSubstring("Read-only file system"))
	}, func(ctx context.Context, f *faulty) {
		f.inside(ctx, "office-2", "touch", "/etc/g8os/trial")
		f.works(ctx, "office-2")
	}},
}

// dhcpTrial is one of a mode of a DHCP server, and what it says to a node.
func dhcpTrial(text string, says event) trial {
	return trial{text, func(ctx context.Context, f *faulty, a facts.Applied) {
		GinkgoHelper()
		log := "dhcp.dhcp.dhcp.log"
		if strings.HasPrefix(text, fault.DHCPForeign) {
			log = a.ID + "-foreign.dhcp.log"
		}
		f.answersDHCP(ctx, log, says)
	}, nil}
}

var segmentTrials = []trial{
	dhcpTrial("dhcp-silent on=dhcp", event{"type": "DISCOVER", "answer": ""}),
	dhcpTrial("dhcp-slow on=dhcp delay=30s", event{"type": "DISCOVER", "answer": "OFFER"}),
	dhcpTrial("dhcp-nak on=dhcp", event{"type": "REQUEST", "answer": "NAK"}),
	dhcpTrial("dhcp-offer-only on=dhcp", event{"type": "REQUEST", "answer": ""}),
	dhcpTrial("dhcp-nowhere on=dhcp", event{"type": "REQUEST", "answer": "ACK", "address": "198.51.100."}),
	dhcpTrial("dhcp-wrong-subnet on=dhcp", event{"type": "REQUEST", "answer": "ACK"}),
	dhcpTrial("dhcp-exhausted on=dhcp", event{"type": "DISCOVER", "answer": ""}),
	dhcpTrial("dhcp-no-renew on=dhcp", event{"type": "REQUEST", "answer": "ACK"}),
	dhcpTrial("dhcp-in-use on=dhcp address=192.168.8.2", event{"type": "DISCOVER", "answer": "OFFER", "address": "192.168.8.2"}),
	dhcpTrial("dhcp-foreign on=dhcp", event{"type": "REQUEST", "answer": "ACK", "address": "198.51.100."}),
	{"squatter on=office address=192.168.7.77", func(ctx context.Context, f *faulty, a facts.Applied) {
		h, err := f.FindHost(a.ID + "-squatter")
		ok(err)
		f.atController("sh", "-c", "ping -c1 -W1 192.168.7.77 >/dev/null; ip neigh show 192.168.7.77 | grep -q "+h.MAC())
	}, func(ctx context.Context, f *faulty) {
		f.atController("sh", "-c", "ip neigh flush to 192.168.7.77; ping -c1 -W1 192.168.7.77 >/dev/null; ! ip neigh show 192.168.7.77 | grep -q lladdr")
	}},
	{"stranger on=isolated", func(ctx context.Context, f *faulty, a facts.Applied) {
		h, err := f.FindHost(a.ID + "-stranger")
		ok(err)
		r, err := h.Exec(ctx, "sh", "-c", "echo hello | timeout 2 bash -c 'cat >/dev/tcp/10.254.254.254/8966'")
		ok(err)
		Expect(r.Code).To(BeZero(), r.Stderr)
	}, func(ctx context.Context, f *faulty) {
		ok(f.Refresh())
		Expect(f.Hosts()).To(BeEmpty())
	}},
}

var acTrials = []trial{
	{"ac-kill on=ac1", func(ctx context.Context, f *faulty, _ facts.Applied) {
		_, err := f.AC("ac1").Nodes(ctx)
		Expect(err).To(HaveOccurred())
	}, acAnswers},
	{"ac-pause", func(ctx context.Context, f *faulty, _ facts.Applied) {
		soon, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		_, err := f.AC("ac1").Nodes(soon)
		Expect(err).To(HaveOccurred())
	}, acAnswers},
}

func acAnswers(ctx context.Context, f *faulty) {
	GinkgoHelper()
	armed, err := f.AC("ac1").Faults(ctx)
	ok(err)
	Expect(armed).To(BeEmpty())
}

// armedTrials are the faults that an AC has by itself.
func armedTrials() []trial {
	var all []trial
	for _, name := range acFaults {
		all = append(all, trial{name, func(ctx context.Context, f *faulty, _ facts.Applied) {
			armed, err := f.AC("ac1").Faults(ctx)
			ok(err)
			Expect(armed).To(ConsistOf(HaveField("Name", name)))
		}, acAnswers})
	}
	return all
}

// try walks through faults: each is added, seen by another process, shows,
// is healed by another process, and does not show any more.
func (f *faulty) try(ctx context.Context, all []trial) {
	for _, t := range all {
		By(t.fault)
		a := f.add(ctx, t.fault)
		Expect(f.listed(ctx)).To(ConsistOf(And(HaveField("ID", a.ID), HaveField("Fault", a.Fault), HaveField("Measured.How", a.Measured.How))))
		t.shows(ctx, f, a)
		_, errs, code := f.g8lab(ctx, "fault", "heal", a.ID)
		Expect(code).To(BeZero(), errs)
		Expect(f.listed(ctx)).To(BeEmpty())
		if t.ended != nil {
			t.ended(ctx, f)
		}
	}
}

var _ = Describe("a fault on a running lab", netns, notVM, func() {
	DescribeTable("of every kind is in force when it was added, for every process, and its effect is gone when it is healed",
		func(ctx SpecContext, all []trial) {
			f := upFaulty(ctx)
			f.try(ctx, all)
			for _, n := range f.Nodes() {
				f.works(ctx, n.Name())
			}
		},
		Entry("of links", patience, linkTrials),
		Entry("of nodes", patience, nodeTrials),
		Entry("of segments", patience, segmentTrials),
		Entry("of ACs", patience, append(acTrials, armedTrials()...)),
	)

	It("that happens once is over when it has happened", func(ctx SpecContext) {
		f := upFaulty(ctx)
		before := f.certificate(ctx, "office-1")
		for _, text := range []string{"damage-slots on=office-1", "damage-certificate on=office-1", "revoke nodes=office-2"} {
			Expect(f.add(ctx, text).Healed).To(BeNumerically(">", 0))
			Expect(f.listed(ctx)).To(BeEmpty())
		}
		Expect(content(f.Node("office-1").Disk())["/keyslots"]).To(ContainSubstring("damaged"))
		ok(f.Node("office-1").RestartCore(ctx))
		f.healed(ctx, "office-1", before)
		for _, n := range f.Nodes() {
			f.works(ctx, n.Name())
		}
	}, patience)

	It("ends when its time is over, though whoever added it was killed, and leaves nothing behind the lab", func(ctx SpecContext) {
		f := upFaulty(ctx)
		for range 5 { // killed at moments that nobody chose, and after the last one the first is still in force
			cmd := f.command(ctx, "fault", "add", "pause", "on=office-1", "for=3s")
			ok(cmd.Start())
			Eventually(ctx, f.listed).WithArguments(ctx).WithTimeout(10 * time.Second).WithPolling(time.Millisecond).ShouldNot(BeEmpty())
			ok(cmd.Process.Kill())
			_ = cmd.Wait()
		}
		Eventually(ctx, f.listed).WithArguments(ctx).WithTimeout(15 * time.Second).Should(BeEmpty())
		f.status(ctx, "office-1")

		By("one without an end is healed by whoever comes")
		_, errs, code := f.g8lab(ctx, "fault", "add", "kill", "--on", "office-2")
		Expect(code).To(BeZero(), errs)
		f.add(ctx, "cable on=office-2 for=10m")
		_, errs, code = f.g8lab(ctx, "fault", "heal", "--all")
		Expect(code).To(BeZero(), errs)
		f.works(ctx, "office-2")
		Eventually(f.keepers).WithTimeout(10*time.Second).Should(BeEmpty(), "nothing is left to be ended")

		By("down ends all")
		f.add(ctx, "pause on=office-1 for=10m")
		f.add(ctx, "squatter on=office address=192.168.7.77 for=10m")
		Expect(f.keepers()).To(HaveLen(1))
		ok(f.Down(ctx))
		Expect(f.keepers()).To(BeEmpty())
	}, patience)

	It("that cannot be is one line, and changes nothing", func(ctx SpecContext) {
		f := upFaulty(ctx)
		for line, want := range map[string]string{
			"add blurb":                                 `fault "blurb": no such thing; there are partition, loss,`,
			"add pause --on nobody":                     `fault pause: node "nobody": no such thing; there are office-1,`,
			"add dhcp-silent --on nowhere":              `fault dhcp-silent: segment "nowhere": no such thing; there are office,`,
			"add dhcp-silent --on office":               `segment office has no DHCP server`,
			"add loss --from office-1 --to ac1":         `fault loss: percent is missing`,
			"add loss percent=101":                      `fault loss: percent 101: want above 0 to 100`,
			"add partition --from office-1 --to dhcp-1": `office-1 and dhcp-1 have no segment in common`,
			"add pause --on office-1 --for=-3s":         `fault pause: a time below zero`,
			"add pause --on office-1 --percent 3":       `fault pause: it has no percent; it takes on, for`,
			"add pause --on office-1 --for soon":        `"soon": want a duration such as 30s`,
			"add disk-full --on office-1":               `fault disk-full: not at fidelity netns: nodes share the host's file system`,
			"add clock --on office-1 --by 1500ms":       `a node's clock is set in whole seconds here`,
			"heal f99":                                  `fault "f99": no such fault is in force; there is none`,
			"heal":                                      `heal one or all`,
		} {
			out, errs, code := f.g8lab(ctx, append([]string{"fault"}, strings.Fields(line)...)...)
			Expect([]any{out, code}).To(Equal([]any{"", 2}), "%s: %s", line, errs)
			Expect(errs).To(And(ContainSubstring(want), HavePrefix("g8lab: "), HaveSuffix("\n")), line)
			Expect(strings.Count(errs, "\n")).To(Equal(1), line)
		}
		Expect(f.listed(ctx)).To(BeEmpty())
		Expect(os.ReadDir(f.LogDir())).NotTo(ContainElement(HaveField("Name()", "keeper.log")))
		for _, n := range f.Nodes() {
			Expect(f.status(ctx, n.Name()).Phase).To(Equal("managed"))
		}
	}, patience)

	It("shows in the facts, and so does all that invariants are about", func(ctx SpecContext) {
		f := upFaulty(ctx)
		ok(f.faults.Run(ctx, "office-1", "j1", 4*time.Second))
		ok(f.faults.Run(ctx, "office-2", "j2", 4*time.Second))
		f.add(ctx, "ac-kill for=1s")
		f.add(ctx, "power on=office-2 for=2s")
		all := map[string]facts.Job{}
		Eventually(ctx, func() []facts.Job {
			now, err := f.faults.Facts(ctx)
			ok(err)
			for _, r := range now.Releases {
				Expect(r).To(And(HaveField("Proved", true), HaveField("State", "enrolled")))
			}
			for _, a := range now.Acts {
				Expect(a.For).To(Equal(a.Node))
			}
			Expect(now.Plaintext).To(BeEmpty())
			Expect(now.Trusts).To(BeEmpty())
			Expect(now.Duplicates).To(BeEmpty())
			for _, j := range now.Jobs {
				all[j.ID] = j
			}
			return now.Jobs
		}).WithTimeout(time.Minute).WithPolling(200 * time.Millisecond).Should(HaveEach(HaveField("Told", true)))
		Expect(all["j1"]).To(And(HaveField("Started", 1), HaveField("Interrupted", false), HaveField("Expected", 20), HaveField("Output", 20), HaveField("Lost", false)))
		Expect(all["j2"]).To(And(HaveField("Started", 1), HaveField("Interrupted", true), HaveField("Lost", true)))
		ok(f.faults.Eventually(ctx, time.Minute, "all are managed", func(nodes []facts.Node) bool {
			for _, n := range nodes {
				if !n.Managed() || len(n.Holdings) == 0 {
					return false
				}
			}
			return true
		}))
		var said []string
		for _, e := range f.faults.History() {
			said = append(said, e.What+" "+e.Who+" "+e.Text)
		}
		Expect(said).To(ContainElements(ContainSubstring("fault office-2 f2 power"), ContainSubstring("heal office-2 f2 power"), Equal("phase office-2 off")))
	}, patience)
})

// keepers are the processes that end faults of this lab, by all that runs here.
func (f *faulty) keepers() []string {
	GinkgoHelper()
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	ok(err)
	var all []string
	for _, path := range commands {
		text, _ := os.ReadFile(path) // it may have ended
		argv := strings.Split(string(text), "\x00")
		if len(argv) > 3 && argv[1] == "--lab" && argv[2] == f.Name() && argv[3] == real.KeeperCommand {
			all = append(all, path)
		}
	}
	return all
}
