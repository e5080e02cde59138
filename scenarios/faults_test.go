package scenarios

import (
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// acFaults are all that an AC can be told to do wrong, revoke apart: that one
// is in certificate_test.go.
var acFaults = []string{
	"clock-skew", "corrupt-reply", "expired-cert", "garbage-reply", "hang-after-accept",
	"lose-session", "outage", "refuse-unlock", "slow", "wrong-ca",
}

var _ = Describe("an AC that misbehaves", netns, vm, func() {
	args := []any{func(ctx SpecContext, fault string) {
		g := up(ctx, pair)
		g.managed(ctx)
		ac, managed, booting := g.AC("ac1"), g.Node("node-1"), g.Node("node-2")
		before := g.certificate(ctx, "node-1")
		ok(booting.PowerCut(ctx))
		ok(ac.Arm(ctx, fault))
		armed, err := ac.Faults(ctx)
		ok(err)
		Expect(armed).To(ConsistOf(HaveField("Name", fault)))
		ok(booting.PowerOn(ctx))

		By("nothing ends, and what was open stays open")
		g.isAway(ctx, "node-1", true, aWhile/2)
		for _, n := range []*lab.Node{managed, booting} {
			core, err := n.Core(ctx)
			ok(err)
			Expect(core.Running).To(BeTrue())
		}

		By("behaving again")
		ok(ac.Clear(ctx, fault))
		g.backSoon(ctx, "node-1")
		g.backSoon(ctx, "node-2")
		for _, name := range []string{"node-1", "node-2"} {
			g.record(ctx, name, stands("enrolled", ""))
		}
		if fault != "corrupt-reply" { // a node may take a broken session for a distrusted one, and prove itself anew
			Expect(g.certificate(ctx, "node-1")).To(Equal(before))
		}
	}}
	for _, f := range acFaults {
		args = append(args, Entry(f, f, patience, only(slices.Contains([]string{"outage", "garbage-reply", "refuse-unlock", "corrupt-reply"}, f))))
	}
	DescribeTable("is survived, and its nodes are managed soon after it behaves again", args...)
})

// quoted finds the wrapped passwords and disk shares of a key-slot file.
var quoted = regexp.MustCompile(`"(?:disk_share|wrapped)":"([^"]+)"`)

var _ = Describe("a log", netns, vm, func() {
	It("shows no secret, whatever its level and whatever went wrong", func(ctx SpecContext) {
		g := up(ctx, officeOnly, held)
		ac, n := g.AC("ac1"), g.Node("node")
		ok(ac.Kill(ctx))
		conf, err := os.ReadFile(ac.ConfigPath())
		ok(err)
		ok(os.WriteFile(ac.ConfigPath(), append([]byte("log_level = \"debug\"\n"), conf...), 0o644))
		ok(ac.Start(ctx))
		ok(n.StartCore(ctx))
		g.works(ctx, "node")
		secrets := map[string]string{}
		note := func(what, text string) {
			for line := range strings.Lines(text) {
				if line = strings.TrimSpace(line); len(line) > 20 && !strings.HasPrefix(line, "-----") {
					secrets[line] = what
				}
			}
		}
		for _, file := range []string{"ssl/client.key", "ssh/ssh_host_ed25519_key"} {
			note(file, g.inside(ctx, "node", "cat", "/mnt/etc/"+file))
		}
		for name, text := range content(filepath.Join(ac.Dir(), "keys")) {
			note(name, text)
			if raw := []byte(text); len(raw) == 32 {
				note(name, hex.EncodeToString(raw)+"\n"+base64.StdEncoding.EncodeToString(raw))
			}
		}
		note("device.key", g.inside(ctx, "node", "cat", "/etc/g8os/device.key"))
		for _, s := range quoted.FindAllStringSubmatch(g.inside(ctx, "node", "cat", "/etc/g8os/keyslots"), -1) {
			note("key-slot file", s[1])
		}

		By("things go wrong")
		ok(ac.Arm(ctx, "revoke"))
		ok(ac.Arm(ctx, "corrupt-reply"))
		ok(n.PowerCut(ctx))
		ok(n.PowerOn(ctx))
		g.reaches(ctx, "node", "climbing again", func(s lab.Status) bool { return s.Phase != "" })
		g.isAway(ctx, "node", false, aWhile/2)
		ok(ac.Clear(ctx, ""))
		g.backSoon(ctx, "node")
		peer, err := ac.Peer(ctx, n)
		ok(err)
		DeferCleanup(peer.Close)
		shares, err := peer.Shares(ctx, n)
		ok(err)
		for _, s := range shares {
			note("AC share", s)
		}
		Expect(len(secrets)).To(BeNumerically(">", 10))
		logs := g.logs()
		logs["inside the node"] = g.inmost(ctx, n)
		for file, text := range logs {
			for secret, what := range secrets {
				Expect(strings.Contains(text, secret)).To(BeFalse(), "%s shows %s", file, what)
			}
		}
	}, patience)
})
