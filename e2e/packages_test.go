package e2e

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// nodeNetwork is what the node's operator writes.
const nodeNetwork = `controllers = ["` + acURL + `"]

[interface.eth0]
method  = "static"
address = ["` + debAddress + `/24"]
`

// install is apt on a machine without a network: what it needs is in its cache.
const install = "apt-get install -y --no-install-recommends "

var _ = Describe("what we ship", Ordered, func() {
	var dir string
	var ac, deb *vm
	var first status // of the node, when it was let in

	BeforeAll(func(ctx SpecContext) {
		clean := cleanDebian(ctx)
		dir = workDir()
		packages := packagesDisk(ctx, dir)
		newSegment(dir, "ac", "deb", "uefi", "bios")
		ac = clean.boot(ctx, dir, "ac", packages, plug(dir, "ac", "52:54:00:71:00:02")...)
		machines := []*vm{ac}
		if Label("deb").MatchesLabelFilter(GinkgoLabelFilter()) { // boots meanwhile
			deb = clean.boot(ctx, dir, "deb", packages, plug(dir, "deb", "52:54:00:71:00:10")...)
			machines = append(machines, deb)
		}
		for _, m := range machines {
			m.awake(ctx)
			m.sh(ctx, "mkdir -p /debs && mount -o ro /dev/vdb /debs && hostnamectl hostname %s && systemctl is-system-running --wait || true", m.name)
		}
		ac.sh(ctx, "ip address add %s/24 dev eth0 && ip link set eth0 up", acAddress)
	}, NodeTimeout(minutes(12)))

	JustAfterEach(func() { tell(ac, deb) })

	Context("as packages, on a clean Debian", Label("deb"), func() {
		It("installs the controller, which waits for its grid's name", Label("image"), func(ctx SpecContext) {
			said := ac.sh(ctx, install+"/debs/g8os-ac.deb 2>&1")
			Expect(said).To(ContainSubstring("/usr/share/doc/g8os-ac/examples/ac.toml"))
			Expect(ac.sh(ctx, "systemctl is-active g8os-ac || true")).To(Equal("inactive"))
			Expect(ac.sh(ctx, "systemctl is-enabled g8os-ac")).To(Equal("enabled"))
			Expect(ac.sh(ctx, "ls -A /var/lib/g8os-ac /etc/g8os-ac | grep -v : || true")).To(BeEmpty())
		}, patience)

		It("founds a grid", Label("image"), func(ctx SpecContext) {
			ac.sh(ctx, "mkdir -p -m 700 /root/.ssh && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
			key := ac.sh(ctx, "cat /root/.ssh/id_ed25519.pub")
			ac.sh(ctx, "sed -e 's/^grid = .*/grid = \"e2e\"/' -e 's|^#  \"ssh-ed25519.*|\"%s\",|' /usr/share/doc/g8os-ac/examples/ac.toml >/etc/g8os-ac/ac.toml", key)
			ac.sh(ctx, "systemctl start g8os-ac")
			ac.eventually(ctx, soon, operator+"g8os nodes -o json", "")
			Expect(ac.sh(ctx, "stat -c '%U %a' /etc/g8os-ac/master.key /var/lib/g8os-ac")).To(Equal("g8os-ac 600\ng8os-ac 700"))
			Expect(ac.sh(ctx, "ps -o user= -p $(systemctl show -P MainPID g8os-ac)")).To(Equal("g8os-ac"))
			Expect(ac.sh(ctx, "grep CapEff /proc/$(systemctl show -P MainPID g8os-ac)/status")).To(HaveSuffix("0000000000000000"))
		}, patience)

		It("installs the node, which waits for the grid's CA and leaves the machine alone", func(ctx SpecContext) {
			before := deb.sh(ctx, "ip -br address")
			said := deb.sh(ctx, install+"/debs/g8os-core.deb 2>&1")
			Expect(said).To(ContainSubstring("/etc/g8os/ca.pem"))
			Expect(deb.sh(ctx, "systemctl is-active g8os-core || true")).To(Equal("inactive"))
			Expect(deb.sh(ctx, "systemctl is-active ssh")).To(Equal("active"))
			Expect(deb.sh(ctx, "ip -br address")).To(Equal(before))
			Expect(deb.sh(ctx, "stat -c %a /etc/g8os")).To(Equal("700"))
		}, patience)

		It("is pending, with the fingerprint that the node shows", func(ctx SpecContext) {
			deb.write(ctx, "/etc/g8os/ca.pem", ac.sh(ctx, "cat /etc/g8os-ac/operators/ca.pem")+"\n")
			deb.write(ctx, "/etc/g8os/net.toml", nodeNetwork)
			deb.sh(ctx, "g8os_core net && systemctl start g8os-core")
			deb.eventually(ctx, soon, "g8os_core status", "fingerprint")
			first = statusOf(ctx, deb)
			known(ctx, ac, first.Fingerprint, "pending", "")
		}, patience)

		It("is let in, and managed", func(ctx SpecContext) {
			ac.sh(ctx, operator+"g8os node approve %s", known(ctx, ac, first.Fingerprint, "pending", "").ID)
			deb.sh(ctx, "g8os_core wait --timeout 2m")
		}, patience)

		It("takes logins and commands", func(ctx SpecContext) {
			Expect(ac.sh(ctx, ssh(debAddress, 2222)+"cat /etc/hostname")).To(Equal("deb"))
			r := ac.try(ctx, operator+"g8os exec deb -- sh -c 'cat /etc/hostname; exit 7'")
			Expect(r.out).To(Equal("deb\n"))
			Expect(r.code).To(Equal(7))
		}, patience)

		It("keeps a login through restart, crash and upgrade of g8os_core", func(ctx SpecContext) {
			// A login that gives back each line it is sent.
			ac.sh(ctx, "mkfifo /root/in && systemd-run -q --unit=login sh -c 'exec 3<>/root/in; %s cat <&3 >/root/out'", ssh(debAddress, 2222))
			echo := func(word string) {
				GinkgoHelper()
				ac.sh(ctx, "echo %s >/root/in", word)
				ac.eventually(ctx, soon, "cat /root/out", word)
			}
			echo("before")
			for i, how := range []string{
				"systemctl restart g8os-core",
				"kill -9 $(systemctl show -P MainPID g8os-core)",
				install + "/debs/g8os-core-later.deb",
			} {
				was := statusOf(ctx, deb).PID
				deb.sh(ctx, how)
				deb.eventually(ctx, soon, fmt.Sprintf(`g8os_core status -o json | grep -v '"pid":%d[,}]'`, was), `"phase":"managed"`)
				echo(fmt.Sprint("after-", i))
			}
			Expect(statusOf(ctx, deb).Fingerprint).To(Equal(first.Fingerprint))
			Expect(deb.sh(ctx, "dpkg-query -W -f '${Version}' g8os-core")).To(HaveSuffix("+later"))
			Expect(deb.sh(ctx, "cat /etc/g8os/net.toml")).To(Equal(strings.TrimSpace(nodeNetwork)))
			ac.sh(ctx, "systemctl stop login")
		}, patience)

		It("is managed again after a power cut, and a controller that was upgraded knows it", func(ctx SpecContext) {
			ac.sh(ctx, install+"/debs/g8os-ac-later.deb")
			deb.switchOff()
			deb.switchOn()
			deb.says(ctx, soon, `(?s)login:.*Linux version.*EXT4-fs \(vda\): recovery complete`) // nobody has unmounted it
			deb.awake(ctx)
			deb.eventually(ctx, soon, "g8os_core wait --timeout 60s", "")
			known(ctx, ac, first.Fingerprint, "enrolled", "managed")
			Expect(ac.sh(ctx, operator+"g8os exec deb -- cat /etc/hostname")).To(Equal("deb"))
		}, patience)

		It("goes without a trace of what runs, keeps its identity, and comes back", func(ctx SpecContext) {
			said := deb.sh(ctx, "apt-get remove -y g8os-core 2>&1")
			Expect(said).To(ContainSubstring("stay in /etc/g8os"))
			Expect(deb.sh(ctx, "grep -c gocryptfs /proc/mounts || true")).To(Equal("0"))
			Expect(deb.sh(ctx, "ss -Hltn 'sport = :2222'")).To(BeEmpty())
			deb.sh(ctx, "test -e /etc/g8os/device.key && test -d /etc/g8os/private")
			deb.sh(ctx, "mount -o ro /dev/vdb /debs 2>/dev/null; "+install+"/debs/g8os-core.deb")
			deb.eventually(ctx, soon, "g8os_core wait --timeout 60s", "")
			Expect(statusOf(ctx, deb).Fingerprint).To(Equal(first.Fingerprint))
		}, patience)

		It("is purged, and nothing is left", func(ctx SpecContext) {
			deb.sh(ctx, "apt-get purge -y g8os-core </dev/null")
			Expect(deb.sh(ctx, "find / -xdev -iname '*g8os*' -not -path '/proc/*' -not -path '/var/log/*' -not -path '/root/*'")).To(BeEmpty())
			Expect(deb.sh(ctx, "systemctl --failed --no-legend --plain | grep g8os || true")).To(BeEmpty())
			Expect(deb.sh(ctx, "systemctl is-active ssh")).To(Equal("active"))
		}, patience)

		AfterAll(func() {
			if deb != nil {
				deb.kill()
			}
		})
	})

	imageSpecs(&dir, &ac)

	Context("in the end", Label("deb"), func() {
		It("removes the controller and keeps the grid, until it is purged", func(ctx SpecContext) {
			said := ac.sh(ctx, "apt-get remove -y g8os-ac 2>&1")
			Expect(said).To(ContainSubstring("the grid stays"))
			ac.sh(ctx, "test -e /etc/g8os-ac/master.key && test -d /var/lib/g8os-ac/etcd && ! test -e /usr/bin/g8os_ac")
			ac.sh(ctx, "apt-get purge -y g8os-ac </dev/null")
			Expect(ac.sh(ctx, "find / -xdev -iname '*g8os*' -not -path '/proc/*' -not -path '/var/log/*' -not -path '/root/*'")).To(BeEmpty())
		}, patience)
	})
})
