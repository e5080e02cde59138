package fallback

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"

	"github.com/g8os/g8os/ac-mock/server"
	"github.com/g8os/g8os/core/api"
)

// The test runs in processes of its own, each in a network namespace of its
// own: an AC with three legs, and a node at the other end of each.
func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv("FALLBACK_TEST_ROLE"); role {
	case "":
		os.Exit(m.Run())
	case "ac":
		err = acMain(strings.Fields(os.Getenv("FALLBACK_TEST_NODES")))
	case "node":
		err = nodeMain()
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// child is one of those processes. It answers one line for each line it gets.
type child struct {
	*testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func start(t *testing.T, role string, nodes ...*child) *child {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	var pids []string
	for _, n := range nodes {
		pids = append(pids, strconv.Itoa(n.cmd.Process.Pid))
	}
	cmd.Env = append(os.Environ(), "FALLBACK_TEST_ROLE="+role, "FALLBACK_TEST_NODES="+strings.Join(pids, " "))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start a process in a network namespace: %v", err)
	}
	c := &child{t, cmd, in, bufio.NewScanner(out)}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	return c
}

func (c *child) ask(line string) string {
	c.Helper()
	if _, err := fmt.Fprintln(c.in, line); err != nil {
		c.Fatal(err)
	}
	if !c.out.Scan() {
		c.Fatalf("%s: the process is gone", line)
	}
	if strings.HasPrefix(c.out.Text(), "error") {
		c.Fatalf("%s: %s", line, c.out.Text())
	}
	return c.out.Text()
}

// Three interfaces hold the same address. Each answers for itself, one that
// appears later too, and in the end only what was there before is left.
func TestHoldOnThreeInterfaces(t *testing.T) {
	nodes := []*child{start(t, "node"), start(t, "node"), start(t, "node")}
	ac := start(t, "ac", nodes...)
	ac.ask("leg 0")
	ac.ask("own 0") // leg0 has the address already
	ac.ask("leg 1")
	ac.ask("listen")
	ac.ask("hold")
	for i, n := range nodes[:2] {
		if got, want := n.ask("dial"), fmt.Sprintf("leg%d", i); got != want {
			t.Errorf("node %d is answered by %q, want %q", i, got, want)
		}
	}
	ac.ask("leg 2") // appears later
	if got := nodes[2].ask("announced"); got != "yes" {
		t.Errorf("announced on the new interface: %s", got)
	}
	if got := nodes[2].ask("dial"); got != "leg2" {
		t.Errorf("node 2 is answered by %q, want leg2", got)
	}
	if got := ac.ask("drop"); got != "leg0 filters 1 1 1" {
		t.Errorf("after the end the address is left on, and rp_filter is: %q, want leg0 only, all 1", got)
	}
}

const port = "8966"

func acMain(pids []string) error {
	for _, name := range []string{"all", "default"} { // as strict as a hardened machine
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/rp_filter", []byte("1"), 0o644); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		verb, arg, _ := strings.Cut(in.Text(), " ")
		answer, err := "ok", error(nil)
		switch verb {
		case "leg":
			err = addLeg(arg, pids)
		case "own":
			err = ownAlready("leg" + arg)
		case "listen":
			err = listenOnAll()
		case "hold":
			h := New(Options{Interfaces: []string{"leg0", "leg1", "leg2"}, Listen: listenOn, Serve: tellDevice, Log: slog.New(slog.DiscardHandler)})
			go func() { ended <- h.Run(ctx) }()
		case "drop":
			cancel()
			if err = <-ended; err == nil {
				answer, err = left()
			}
		}
		if err != nil {
			return err
		}
		fmt.Println(answer)
	}
	return nil
}

// addLeg makes a cable from here to a node's eth0.
func addLeg(number string, pids []string) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(pids[n])
	if err != nil {
		return err
	}
	leg := netlink.NewVeth(netlink.LinkAttrs{Name: "leg" + number})
	leg.PeerName, leg.PeerNamespace = "eth0", netlink.NsPid(pid)
	if err := netlink.LinkAdd(leg); err != nil {
		return fmt.Errorf("add %s: %w", leg.Name, err)
	}
	return netlink.LinkSetUp(leg)
}

func ownAlready(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.AddrAdd(link, own())
}

// left says which interfaces still have the address, and how they filter.
func left() (string, error) {
	var names, filters []string
	for _, name := range []string{"leg0", "leg1", "leg2"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return "", err
		}
		addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
		if err != nil {
			return "", err
		}
		if len(addrs) > 0 {
			names = append(names, name)
		}
		filter, err := os.ReadFile(filterFile(name))
		if err != nil {
			return "", err
		}
		filters = append(filters, strings.TrimSpace(string(filter)))
	}
	return strings.Join(names, " ") + " filters " + strings.Join(filters, " "), nil
}

// listenOn listens as the AC does.
func listenOn(device string) (net.Listener, error) {
	l, err := server.ListenOn(context.Background(), device, net.JoinHostPort(api.FallbackAddress, port))
	return named{l, device}, err
}

// listenOnAll is the AC's other listener, which stands beside those.
func listenOnAll() error {
	l, err := server.Listen(context.Background(), ":"+port, true)
	if err == nil {
		go func() { _ = tellDevice(named{l, "any"}) }()
	}
	return err
}

type named struct {
	net.Listener
	device string
}

// tellDevice answers every connection with the name of the interface.
func tellDevice(l net.Listener) error {
	from := l
	if t, ok := l.(*tracked); ok {
		from = t.Listener
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return nil
		}
		fmt.Fprintln(c, from.(named).device)
		_ = c.Close()
	}
}

func nodeMain() error {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		link, err := eth0()
		if err != nil {
			return err
		}
		answer := ""
		switch in.Text() {
		case "dial":
			answer, err = dial(link)
		case "announced":
			answer, err = announced(link)
		}
		if err != nil {
			return err
		}
		fmt.Println(answer)
	}
	return nil
}

func eth0() (netlink.Link, error) {
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return nil, err
	}
	return link, netlink.LinkSetUp(link)
}

// dial asks who answers at the fallback address. Every node has the same own
// address, as nodes on different segments may.
func dial(link netlink.Link) (string, error) {
	ip := &net.IPNet{IP: net.IPv4(10, 254, 254, 1), Mask: net.CIDRMask(24, 32)}
	if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: ip}); err != nil {
		return "", err
	}
	var failed error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var c net.Conn
		if c, failed = net.DialTimeout("tcp", net.JoinHostPort(api.FallbackAddress, port), time.Second); failed != nil {
			continue
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		_ = c.Close()
		if line == "any\n" { // the interface's own listener is not there yet
			failed = errors.New("answered by the listener for all interfaces")
			continue
		}
		return strings.TrimSpace(line), err
	}
	return "", failed
}

// announced waits for the announcement of the fallback address.
func announced(link netlink.Link) (string, error) {
	c, err := packet.Listen(&net.Interface{Index: link.Attrs().Index, Name: "eth0"}, packet.Raw, etherTypeARP, nil)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return "", err
	}
	frame := make([]byte, 1500)
	for {
		n, _, err := c.ReadFrom(frame)
		if err != nil {
			return "", err
		}
		f := frame[:n]
		if n >= minFrame && bytes.Equal(f[:n], append(announcement(f[6:12], own().IP), f[minFrame:n]...)) {
			return "yes", nil
		}
	}
}

func TestAnnouncementIsAGratuitousRequest(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	f := announcement(mac, net.IPv4(10, 254, 254, 254).To4())
	want := "ffffffffffff" + "020000000009" + "0806" + "0001080006040001" +
		"020000000009" + "0afefefe" + "000000000000" + "0afefefe" + strings.Repeat("00", 18)
	if got := fmt.Sprintf("%x", f); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
