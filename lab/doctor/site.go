package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab/fabric"
	"github.com/g8os/g8os/lab/machine"
)

// site is a throw-away lab: a switch with one segment and two machines on it.
//
//	left 10.0.0.1 ── switch ── right 10.0.0.2
type site struct {
	left, right *machine.Machine
	sw          *fabric.Switch
}

const (
	leftIP, rightIP = "10.0.0.1", "10.0.0.2"
	stock           = "run on a stock Debian kernel"
)

var errNoSite = errors.New("not tried: no switch, see above")

// checks are those of the sandbox, in order: each may build on those before.
func (s *site) checks() []check {
	return []check{
		{"namespaces", true, 10 * time.Second, stock + "; in a container it takes --privileged", s.namespaces},
		{"overlay", true, 5 * time.Second, "modprobe overlay, or " + stock, overlay},
		{"fuse", true, 5 * time.Second, "modprobe fuse; in a container give it /dev/fuse", fuse},
		{"switch", true, 40 * time.Second, "install openvswitch-switch (ci/install run does it)", s.wire},
		{"tap", false, 10 * time.Second, "modprobe tun, or give /dev/net/tun to the container; without it no node can be a virtual machine", s.tap},
		{"loss", true, 60 * time.Second, "install nftables; " + stock, s.loss},
		{"capture", true, 20 * time.Second, "install tcpdump (ci/install run does it)", s.capture},
		{"netem", false, 5 * time.Second, "modprobe sch_netem where it exists; loss is nftables' then, delay a process of ours", s.netem},
		{"vxlan", false, 5 * time.Second, "modprobe vxlan; nodes of fidelity vm bring it along", s.link("vxlan", "id", "7", "dev", "eth0", "dstport", "4789")},
		{"vlan", false, 5 * time.Second, "modprobe 8021q; nodes of fidelity vm bring it along", s.link("vlan", "link", "eth0", "id", "7")},
		{"bond", false, 5 * time.Second, "modprobe bonding; nodes of fidelity vm bring it along", s.link("bond")},
	}
}

// boot makes a machine of the sandbox.
func boot(ctx context.Context, name string) (*machine.Machine, error) {
	mk, err := machine.Create("doctor", name, filepath.Join(scratch, name+".init.log"))
	if err != nil {
		return nil, err
	}
	return mk.Boot(ctx, machine.Spec{Lab: "doctor", Name: name, Hostname: name, Control: filepath.Join(scratch, name), LogDir: scratch})
}

func (s *site) namespaces(ctx context.Context) (string, error) {
	begun := time.Now()
	for _, m := range []struct {
		name string
		to   **machine.Machine
	}{{"left", &s.left}, {"right", &s.right}} {
		up, err := boot(ctx, m.name)
		if err != nil {
			return "", err
		}
		*m.to = up
	}
	return "a machine of namespaces stands after " + seconds(time.Since(begun)/2), nil
}

// wire brings the switch up and pings across it.
func (s *site) wire(ctx context.Context) (string, error) {
	if s.right == nil {
		return "", errors.New("not tried: no machines to connect, see above")
	}
	begun := time.Now()
	m, err := boot(ctx, "switch")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(scratch, "ovs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	sw, err := fabric.Boot(ctx, m, dir)
	if err != nil {
		return "", err
	}
	ports := []fabric.Port{
		{Machine: "left", NIC: "eth0", MAC: "02:00:00:00:00:01", Segment: "seg"},
		{Machine: "right", NIC: "eth0", MAC: "02:00:00:00:00:02", Segment: "seg"},
	}
	for i, m := range []*machine.Machine{s.left, s.right} {
		if err := sw.Plug(m.Proc.PID, ports[i]); err != nil {
			return "", err
		}
	}
	if err := sw.Connect(ctx, "doctor", []string{"seg"}, ports); err != nil {
		return "", err
	}
	for m, ip := range map[*machine.Machine]string{s.left: leftIP, s.right: rightIP} {
		if _, err := inside(ctx, m, "ip", "addr", "add", ip+"/24", "dev", "eth0"); err != nil {
			return "", err
		}
		if _, err := inside(ctx, m, "ip", "link", "set", "eth0", "up"); err != nil {
			return "", err
		}
	}
	if _, err := inside(ctx, s.left, "ping", "-c1", "-w20", "-i0.2", rightIP); err != nil {
		return "", err
	}
	s.sw = sw
	kind := "userspace datapath (the kernel has no openvswitch)"
	if _, err := os.Stat("/sys/module/openvswitch"); err == nil {
		kind = "kernel datapath"
	}
	return fmt.Sprintf("Open vSwitch, %s; two machines ping each other after %s", kind, seconds(time.Since(begun))), nil
}

func (s *site) tap(context.Context) (string, error) {
	if s.sw == nil {
		return "", errNoSite
	}
	f, err := s.sw.PlugTap(fabric.Port{Machine: "guest", NIC: "eth0", Segment: "seg"})
	if err != nil {
		return "", err
	}
	return "a tap in the switch's namespace", f.Close()
}

// Of a thousand pings with a tenth lost, 900 arrive, give or take 9.5: outside
// of four times that it is not a tenth.
const pings, fewest, most = 1000, 862, 938

// loss drops a tenth of what arrives and counts.
func (s *site) loss(ctx context.Context) (string, error) {
	if s.sw == nil {
		return "", errNoSite
	}
	rules := "table netdev doctor { chain in { type filter hook ingress device eth0 priority 0; " +
		"icmp type echo-request numgen random mod 10 0 drop; }; }"
	if _, err := inside(ctx, s.right, "nft", rules); err != nil {
		return "", err
	}
	// -f sends the next one as soon as an answer is there, or after 10 ms.
	out, err := inside(ctx, s.left, "ping", "-q", "-f", "-c", strconv.Itoa(pings), rightIP)
	if err != nil {
		return "", err
	}
	if _, err := inside(ctx, s.right, "nft", "delete", "table", "netdev", "doctor"); err != nil {
		return "", err
	}
	n, err := received(out)
	if err != nil {
		return "", err
	}
	if n < fewest || n > most {
		return "", fmt.Errorf("asked nftables to drop 10 %% of %d pings, it dropped %d", pings, pings-n)
	}
	return fmt.Sprintf("nftables asked for 10 %% dropped %d of %d pings", pings-n, pings), nil
}

var receivedRE = regexp.MustCompile(`(\d+) received`)

// received reads ping's last words.
func received(out string) (int, error) {
	m := receivedRE.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("ping said %q", out)
	}
	return strconv.Atoi(m[1])
}

// capture has tcpdump see one ping go by.
func (s *site) capture(ctx context.Context) (string, error) {
	if s.sw == nil {
		return "", errNoSite
	}
	var out, said bytes.Buffer
	dump, err := s.right.EnterNet([]string{"tcpdump", "-i", "eth0", "-nn", "--immediate-mode", "-c", "1", "icmp"}, func(cmd *exec.Cmd) {
		cmd.Stdout, cmd.Stderr = &out, &said
	})
	if err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = dump.Process.Kill() })
	defer stop()
	if _, err := inside(ctx, s.left, "ping", "-q", "-c", "50", "-i", "0.02", rightIP); err != nil {
		_ = dump.Process.Kill()
		_ = dump.Wait()
		return "", err
	}
	if err := dump.Wait(); err != nil {
		return "", fmt.Errorf("tcpdump: %w: %s", err, oneLine(errors.New(said.String())))
	}
	return "tcpdump saw " + oneLine(errors.New(out.String())), nil
}

func (s *site) netem(ctx context.Context) (string, error) {
	if s.sw == nil {
		return "", errNoSite
	}
	if _, err := inside(ctx, s.right, "tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "1ms"); err != nil {
		return "", err
	}
	_, err := inside(ctx, s.right, "tc", "qdisc", "del", "dev", "eth0", "root")
	return "delays a frame", err
}

// link makes an interface of a kind, and takes it away.
func (s *site) link(kind string, args ...string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		if s.left == nil {
			return "", errors.New("not tried: no machine, see above")
		}
		add := []string{"ip", "link", "add"}
		if len(args) > 1 && args[0] == "link" {
			add, args = append(add, args[:2]...), args[2:]
		}
		add = append(append(add, "probe", "type", kind), args...)
		if _, err := inside(ctx, s.left, add...); err != nil {
			return "", err
		}
		_, err := inside(ctx, s.left, "ip", "link", "del", "probe")
		return "an interface of that kind", err
	}
}

// inside runs a command in the network of a machine.
func inside(ctx context.Context, m *machine.Machine, argv ...string) (string, error) {
	var out, said bytes.Buffer
	cmd, err := m.EnterNet(argv, func(cmd *exec.Cmd) { cmd.Stdout, cmd.Stderr = &out, &said })
	if err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(said.String()+out.String()))
	}
	return out.String(), nil
}

// overlay lays a directory over another one.
func overlay(context.Context) (string, error) {
	base := filepath.Join(scratch, "overlay")
	for _, d := range []string{"lower", "upper", "work", "on"} {
		if err := os.MkdirAll(filepath.Join(base, d), 0o755); err != nil {
			return "", err
		}
	}
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", base)
	if err := unix.Mount("overlay", base+"/on", "overlay", 0, options); err != nil {
		return "", fmt.Errorf("mount an overlay: %w", err)
	}
	return "mounted", unix.Unmount(base+"/on", unix.MNT_DETACH)
}

// fuse mounts a file system of ours and reads the kernel's first request.
func fuse(context.Context) (string, error) {
	const opInit = 26 // FUSE_INIT of linux/fuse.h, the second word of the header
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	on := filepath.Join(scratch, "fuse")
	if err := os.MkdirAll(on, 0o755); err != nil {
		return "", err
	}
	if err := unix.Mount("doctor", on, "fuse", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", f.Fd())); err != nil {
		return "", fmt.Errorf("mount: %w", err)
	}
	defer func() { _ = unix.Unmount(on, unix.MNT_DETACH) }()
	request := make([]byte, 64<<10)
	n, err := unix.Read(int(f.Fd()), request)
	if err != nil || n < 8 || request[4] != opInit {
		return "", fmt.Errorf("read the kernel's first request: %d bytes, %v", n, err)
	}
	return "mounted, and the kernel speaks to it", nil
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
