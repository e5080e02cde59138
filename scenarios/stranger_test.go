package scenarios

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// elsewhere is a segment without an AC: whoever stands on 10.254.254.254 there
// is a stranger.
const elsewhere = `
segments:
  - {name: office, subnet: 192.168.7.0/24}
  - name: isolated
acs:
  - {name: ac1, fallback: false, legs: [{segment: office, address: 192.168.7.2}]}
nodes:
  - {name: node, nics: [{segment: isolated}]}
`

// betrays reports whether bytes on the wire say who the node is.
func betrays(raw string, n *lab.Node) bool {
	mac := n.MAC(0)
	binary, err := hex.DecodeString(string(n.ID()))
	ok(err)
	for _, form := range []string{mac, strings.ToUpper(mac), string(n.ID()), string(binary)} {
		if strings.Contains(raw, form) {
			return true
		}
	}
	return false
}

// wasToldNothing demands that a party was told nothing by a node, though it was met.
func (p *party) wasToldNothing(n *lab.Node) {
	GinkgoHelper()
	Expect(p.events("request")).To(BeEmpty())
	met := p.events("connection")
	Expect(met).NotTo(BeEmpty())
	for _, e := range met {
		raw, err := base64.StdEncoding.DecodeString(fmt.Sprint(e["raw"]))
		ok(err)
		Expect(betrays(string(raw), n)).To(BeFalse(), "a stranger was told who the node is: %q", raw)
	}
}

const aWhile = 10 * time.Second // for which a promise of silence is watched

var _ = Describe("a stranger", netns, vm, func() {
	DescribeTable("on 10.254.254.254 gets nothing out of a node",
		func(ctx SpecContext, kind string) {
			g := up(ctx, elsewhere, held)
			stranger := g.actor(ctx, "isolated", "10.254.254.254/24", "stranger", "--kind", kind, "--grid", g.Name()+".lab")
			ok(g.Node("node").StartCore(ctx))
			stranger.says(ctx, "connection", nil)
			Consistently(ctx, func() string { return g.status(ctx, "node").Phase }).WithTimeout(aWhile).Should(Equal("network"))
			stranger.wasToldNothing(g.Node("node"))
		},
		Entry("with a certificate of its own making", "self-signed", patience),
		Entry("with an AC's name from a CA of its own", "impostor", patience),
		Entry("T6 without TLS", "http", patience),
	)

	It("T10 in the form of a captive portal is not taken for an AC", func(ctx SpecContext) {
		g := up(ctx, scripted, held)
		portal := g.actor(ctx, "dhcp", "172.20.0.1/24", "portal", "--server", "172.20.0.1/24", "--pool", "172.20.0.10-99", "--lease", "10s")
		ok(g.Node("node").StartCore(ctx))
		portal.says(ctx, "message", event{"type": "REQUEST", "answer": "ACK"})
		portal.says(ctx, "connection", event{"port": "8966"})
		g.reaches(ctx, "node", "managed over fallback", way("fallback"))
		portal.wasToldNothing(g.Node("node"))
	}, patience)
})
