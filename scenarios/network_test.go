package scenarios

import (
	"bytes"
	"context"
	"encoding/hex"
	"os/exec"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/g8os/g8os/lab"
)

// What the specs about the network share.

// dhcpOnly is a segment with a good DHCP server, and an AC.
const dhcpOnly = `
segments:
  - {name: dhcp, subnet: 192.168.8.0/24, dhcp: {first: 192.168.8.10, last: 192.168.8.250}}
acs:
  - {name: ac1, legs: [{segment: dhcp, address: 192.168.8.2}]}
nodes:
  - {name: node, nics: [{segment: dhcp}]}
`

// by is the condition of being managed by a way, with an address.
func by(want, address string) func(lab.Status) bool {
	return func(s lab.Status) bool { return way(want)(s) && bare(s.Address) == address }
}

// network of a node as a person would compare it: links, addresses, routes,
// name servers. A node that was lent none has no file of them.
func (g *grid) network(ctx context.Context, node string) string {
	GinkgoHelper()
	return g.inside(ctx, node, "sh", "-c", "ip -o link; ip -o address; ip route; ip -6 route; cat /etc/resolv.conf 2>/dev/null || true")
}

// atController runs a command in the AC's network.
func (g *grid) atController(argv ...string) {
	GinkgoHelper()
	var said bytes.Buffer
	cmd, err := g.AC("ac1").EnterNet(argv, func(c *exec.Cmd) { c.Stdout, c.Stderr = &said, &said })
	ok(err)
	ok(cmd.Wait(), "%s: %s", strings.Join(argv, " "), said.String())
}

// pullCable takes the carrier away and returns once the node has seen it.
func (g *grid) pullCable(ctx context.Context, node string) {
	GinkgoHelper()
	ok(g.Node(node).SetCarrier(ctx, 0, false))
	Eventually(ctx, func() string { return g.inside(ctx, node, "ip", "-o", "link", "show", "dev", "eth0") }).
		WithTimeout(stepTimeout()).WithPolling(10 * time.Millisecond).Should(ContainSubstring("NO-CARRIER"))
}

func (g *grid) putCableBack(ctx context.Context, node string) {
	GinkgoHelper()
	ok(g.Node(node).SetCarrier(ctx, 0, true))
}

// flap is a carrier that was away for no longer than it takes to see it.
func (g *grid) flap(ctx context.Context, node string) {
	GinkgoHelper()
	if !onMachines() {
		g.pullCable(ctx, node)
		g.putCableBack(ctx, node)
		return
	}
	// To ask a machine takes longer than a flap may.
	changes := func() string { return g.inside(ctx, node, "cat", "/sys/class/net/eth0/carrier_changes") }
	before := changes()
	ok(g.Node(node).SetCarrier(ctx, 0, false))
	select {
	case <-ctx.Done():
	case <-time.After(flapped):
	}
	g.putCableBack(ctx, node)
	Eventually(ctx, changes).WithTimeout(stepTimeout()).ShouldNot(Equal(before), "it was not seen")
}

// flapped is how long a machine's cable is out in a flap.
const flapped = 500 * time.Millisecond

// overheard is what a capture takes from a segment.
type overheard struct {
	mu  sync.Mutex
	raw bytes.Buffer
}

func (o *overheard) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.raw.Write(b)
}

// mentions says whether a MAC was in a frame, as sender, receiver, or in what
// it says.
func (o *overheard) mentions(mac string) bool {
	GinkgoHelper()
	binary, err := hex.DecodeString(strings.ReplaceAll(mac, ":", ""))
	ok(err)
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Contains(o.raw.Bytes(), binary)
}

// overhear captures a segment until the spec ends. It returns once packets are
// being taken.
func (g *grid) overhear(segment string) *overheard {
	GinkgoHelper()
	o := &overheard{}
	began, ended := make(chan struct{}), make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	DeferCleanup(func() { stop(); ok(<-ended) })
	go func() {
		_, err := g.Capture(ctx, segment, o, lab.CaptureOptions{Began: func() { close(began) }})
		ended <- err
	}()
	select {
	case <-began:
	case err := <-ended:
		ended <- nil
		ok(err)
		Fail("the capture has ended")
	}
	return o
}
