package links

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/network"
)

// startOVS runs an Open vSwitch of the test's own in its namespace, with the
// userspace datapath.
func (b *bench) startOVS() {
	b.Helper()
	dir, err := os.MkdirTemp("", "ovs") // short: the sockets' names have a limit
	b.must(err)
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	b.opts.OVSDB = "unix:" + dir + "/db.sock"
	out, err := exec.Command("ovsdb-tool", "create", dir+"/conf.db", "/usr/share/openvswitch/vswitch.ovsschema").CombinedOutput()
	if err != nil {
		b.Fatalf("ovsdb-tool: %v: %s", err, out)
	}
	b.daemon(dir, "ovsdb-server", dir+"/conf.db", "--remote=p"+b.opts.OVSDB, "--unixctl="+dir+"/a.ctl", "--no-chdir")
	b.appears(filepath.Join(dir, "db.sock"))
	if out, err := exec.Command("ovs-vsctl", "--db="+b.opts.OVSDB, "--no-wait", "init").CombinedOutput(); err != nil {
		b.Fatalf("ovs-vsctl init: %v: %s", err, out)
	}
	b.daemon(dir, "ovs-vswitchd", b.opts.OVSDB, "--unixctl="+dir+"/b.ctl", "--no-chdir")
}

func (b *bench) daemon(dir, name string, args ...string) {
	b.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+dir, "OVS_DBDIR="+dir, "OVS_LOGDIR="+dir)
	b.must(cmd.Start())
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// appears waits for a socket that a daemon is about to listen on.
func (b *bench) appears(socket string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		b.must(err)
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: socket})
		_ = unix.Close(fd)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.Fatalf("%s: %v", socket, err)
		}
	}
}

func (b *bench) vsctl(args string) string {
	b.Helper()
	out, err := exec.Command("ovs-vsctl", append([]string{"--db=" + b.opts.OVSDB, "--timeout=60"}, strings.Fields(args)...)...).CombinedOutput()
	if err != nil {
		b.Fatalf("ovs-vsctl %s: %v: %s", args, err, out)
	}
	return string(out)
}

const switched = `
[interface.ovs0]
kind     = "ovs"
method   = "none"
datapath = "netdev"
ports    = ["eth1"]

[interface.mgmt]
kind    = "ovs"
bridge  = "ovs0"
tag     = 10
address = "10.7.0.1/24"
`

func TestOVS(t *testing.T) {
	b := newBench(t)
	b.startOVS()
	l := b.open()
	before := b.dump()
	b.must(b.ensure(l, switched))
	b.must(l.Apply("mgmt", network.Wanted{Addresses: prefixes("10.7.0.1/24")}))
	b.has(b.ip("addr show mgmt"), "10.7.0.1/24", ",UP")
	b.has(b.vsctl("get port mgmt tag"), "10")
	b.has(b.vsctl("list-ports ovs0"), "eth1", "mgmt")
	b.has(b.ip("link show eth1"), ",UP")
	list, err := l.List()
	b.must(err)
	for _, x := range list {
		if x.Physical && (x.Name == "mgmt" || x.Name == "ovs0" || x.Name == "ovs-netdev" || x.Name == "eth1") {
			t.Errorf("%s would be tried in a round", x.Name)
		}
		if x.Card != slices.Contains([]string{"eth0", "eth1", "peer0", "peer1"}, x.Name) {
			t.Errorf("%s is a card: %v", x.Name, x.Card)
		}
	}

	edited := strings.NewReplacer("10\n", "20\n", `["eth1"]`, `["eth0"]`).Replace(switched)
	l = b.open() // T13, across a restart
	b.must(b.ensure(l, edited))
	b.has(b.vsctl("get port mgmt tag"), "20")
	b.has(b.vsctl("list-ports ovs0"), "eth0", "mgmt")
	b.lacks(b.vsctl("list-ports ovs0"), "eth1")
	b.lacks(b.ip("link show eth1"), ",UP")
	b.has(b.ip("addr show mgmt"), "10.7.0.1/24")

	b.must(b.open().WithdrawAll())
	b.same(before, "Open vSwitch left something")
	if got := b.vsctl("list-br"); got != "" {
		t.Errorf("bridges left: %s", got)
	}
}

// TestOVSRefused: ovs-vsctl says 0, and the interface says what happened.
func TestOVSRefused(t *testing.T) {
	b := newBench(t)
	b.startOVS()
	before := b.dump()
	l := b.open()
	err := b.ensure(l, strings.Replace(switched, `"netdev"`, `"system"`, 1))
	if kernelDatapath() == "system" {
		b.must(err)
		b.must(l.WithdrawAll())
	} else if err == nil || !strings.Contains(err.Error(), "ovs ovs0: ") {
		t.Errorf("got %v", err)
	}
	b.same(before, "something was left")
	if got := b.vsctl("list-br"); got != "" {
		t.Errorf("bridges left: %s", got)
	}
	err = b.ensure(l, "[interface.eth1]\nkind=\"ovs\"\nmethod=\"dhcp\"\n")
	if !errors.Is(err, ErrNotOurs) {
		t.Errorf("took eth1 for a bridge: %v", err)
	}
}

func TestOVSAbsent(t *testing.T) {
	b := newBench(t)
	b.opts.OVSDB = "unix:" + b.TempDir() + "/no.sock"
	if err := b.ensure(b.open(), switched); err == nil || !strings.Contains(err.Error(), "is ovsdb-server running?") {
		t.Errorf("got %v", err)
	}
	t.Setenv("PATH", b.TempDir())
	err := b.ensure(b.open(), switched)
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "openvswitch-switch") {
		t.Errorf("got %v", err)
	}
}
