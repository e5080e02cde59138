package links

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/network"
)

// bench is a network namespace of a test's own, with two pairs of veth: eth0
// and eth1 are the node's, peer0 and peer1 the other ends.
type bench struct {
	*testing.T
	opts Options
}

// newBench moves the test's goroutine to a thread and namespace of its own.
// The thread dies with the goroutine, and the namespace with the thread.
func newBench(t *testing.T) *bench {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("these tests need root: unshare the network namespace: %v", err)
	}
	for name, v := range map[string]string{"disable_ipv6": "0", "accept_dad": "0", "accept_ra": "0"} {
		for _, conf := range []string{"default", "lo"} {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+conf+"/"+name, []byte(v), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := t.TempDir()
	b := &bench{T: t, opts: Options{Record: filepath.Join(dir, "record.json"), ResolvConf: filepath.Join(dir, "resolv.conf")}}
	b.ip("link set lo up")
	b.ip("link add eth0 type veth peer name peer0")
	b.ip("link add eth1 type veth peer name peer1")
	b.ip("link set peer0 up")
	b.ip("link set peer1 up")
	b.resolv("search grid.example\nnameserver 9.9.9.9\noptions rotate\n")
	return b
}

// ip runs iproute2, the oracle of these tests.
func (b *bench) ip(args string) string {
	b.Helper()
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		b.Fatalf("ip %s: %v: %s", args, err, out)
	}
	return string(out)
}

func (b *bench) resolv(text string) {
	b.Helper()
	if err := os.WriteFile(b.opts.ResolvConf, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) open() *Links {
	b.Helper()
	l, err := Open(b.opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(l.Close)
	return l
}

// settled waits until the kernel has told itself what was done: the state of
// a link, and with it routes and fe80:: addresses, follow its carrier a moment
// later.
func (b *bench) settled() {
	b.Helper()
	pending := func(line string) bool {
		up, carrier, down := strings.Contains(line, ",UP"), strings.Contains(line, ",LOWER_UP"), strings.Contains(line, "NO-CARRIER")
		return up && carrier == down
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if b.ip("-6 addr show tentative") == "" && !slices.ContainsFunc(strings.Split(b.ip("-o link show"), "\n"), pending) {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("still in motion after a minute:\n%s%s", b.ip("-6 addr show tentative"), b.ip("link show"))
		}
	}
}

// dump is all that can be seen of the node's network from outside of this
// package. The other ends of its cables are not the node's, and the kernel
// attaches a qdisc when it first sets a link up.
func (b *bench) dump() string {
	b.Helper()
	b.settled()
	text := b.ip("-o link show") + b.ip("-o addr show") + b.ip("-4 route show table all") + b.ip("-6 route show table all")
	lines := strings.Split(strings.ReplaceAll(text, "qdisc noop ", "qdisc noqueue "), "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool {
		return strings.Contains(line, ": peer") || strings.Contains(line, "dev peer")
	})
	slices.Sort(lines)
	resolv, err := os.ReadFile(b.opts.ResolvConf)
	if err != nil {
		resolv = []byte(err.Error())
	}
	return strings.Join(lines, "\n") + "\n" + string(resolv)
}

func (b *bench) same(before, what string) {
	b.Helper()
	after := b.dump()
	for line := range strings.Lines(before) {
		if !strings.Contains(after, line) {
			b.Errorf("%s: lost %s", what, line)
		}
	}
	for line := range strings.Lines(after) {
		if !strings.Contains(before, line) {
			b.Errorf("%s: new %s", what, line)
		}
	}
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// has checks that a listing has all of these in it.
func (b *bench) has(listing string, all ...string) {
	b.Helper()
	for _, x := range all {
		if !strings.Contains(listing, x) {
			b.Errorf("%q is not in\n%s", x, listing)
		}
	}
}

func (b *bench) lacks(listing string, all ...string) {
	b.Helper()
	for _, x := range all {
		if strings.Contains(listing, x) {
			b.Errorf("%q is in\n%s", x, listing)
		}
	}
}

// listen returns a function that tells whether the kernel announced a change
// since it was last asked. The kernel queues before the change returns.
func (b *bench) listen() func() bool {
	b.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	b.must(err)
	b.Cleanup(func() { _ = unix.Close(fd) })
	b.must(unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: watched}))
	return func() bool {
		heard, buffer := false, make([]byte, 64<<10)
		for {
			if _, _, err := unix.Recvfrom(fd, buffer, unix.MSG_DONTWAIT); err != nil {
				return heard
			}
			heard = true
		}
	}
}

func (b *bench) names() string {
	b.Helper()
	text, err := os.ReadFile(b.opts.ResolvConf)
	b.must(err)
	return string(text)
}

func prefixes(list ...string) (p []netip.Prefix) {
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func addrs(list ...string) (a []netip.Addr) {
	for _, s := range list {
		a = append(a, netip.MustParseAddr(s))
	}
	return a
}

func route(to, via string, metric int) network.Route {
	r := network.Route{To: netip.MustParsePrefix(to), Metric: metric}
	if via != "" {
		r.Via = netip.MustParseAddr(via)
	}
	return r
}

// full is a wish with everything in it.
func full() network.Wanted {
	return network.Wanted{
		Up: true, MTU: 1400,
		Addresses: prefixes("192.168.7.10/24", "192.168.7.11/24", "10.9.0.1/16", "fd00:7::10/64"),
		Routes: []network.Route{
			route("0.0.0.0/0", "192.168.7.1", 100), route("10.0.0.0/8", "192.168.7.254", 10),
			route("172.16.0.0/12", "", 0), route("::/0", "fd00:7::1", 100), route("fd99::/16", "fe80::1", 0),
		},
		DNS: addrs("192.168.7.1", "fd00:7::53"),
	}
}
