// Package segment gives tests of actors a segment of their own: a cable
// between two fresh network namespaces, the actor's at one end, the rest of
// the world at the other.
//
// It leaves nothing behind and never touches the namespace the tests were
// started in: Main starts the test binary again inside a new one.
package segment

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

const inside = "G8OS_TEST_IN_NETNS"

// Main runs the tests in a network namespace of their own. To be called from
// TestMain.
func Main(m *testing.M) {
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the death signal is tied to the parent's thread
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the tests in a network namespace of their own (needs root):", err)
		os.Exit(1)
	}
}

// Peer is the other end of the cable.
type Peer struct {
	Interface string
	calls     chan func()
}

// New lays a cable that carries: the end named actor is in this process's namespace with
// the address given (with prefix length), the other at the peer. It is gone
// when the test ends.
func New(t *testing.T, actor, address string) *Peer {
	t.Helper()
	p := &Peer{Interface: "eth0", calls: make(chan func())}
	ns := make(chan error)
	var far netns.NsHandle
	go p.live(func() (err error) {
		far, err = netns.New() // switches this thread, and this one only
		return err
	}, ns)
	must(t, <-ns, "make a namespace")
	t.Cleanup(func() { close(p.calls); _ = far.Close() })
	must(t, cable(actor, address, p.Interface, far), "lay a cable")
	t.Cleanup(func() { unplug(actor) })
	p.Do(t, func() error { return up(p.Interface) })
	p.Do(t, func() error { return up("lo") })
	must(t, carries(actor), "wait for the actor's end")
	p.Do(t, func() error { return carries(p.Interface) })
	return p
}

// live runs calls on one thread that never leaves its namespace; the thread
// ends with the goroutine.
func (p *Peer) live(enter func() error, entered chan<- error) {
	runtime.LockOSThread()
	entered <- enter()
	for call := range p.calls {
		call()
	}
}

// Do runs f in the peer's namespace and fails the test when it fails.
func (p *Peer) Do(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	p.calls <- func() { done <- f() }
	must(t, <-done, "at the peer")
}

// SetAddress gives the peer's end an address, with prefix length.
func (p *Peer) SetAddress(t *testing.T, address string) {
	t.Helper()
	p.Do(t, func() error { return addAddress(p.Interface, address) })
}

// Dial connects from the peer.
func (p *Peer) Dial(t *testing.T, network, to string) net.Conn {
	t.Helper()
	var c net.Conn
	p.Do(t, func() (err error) {
		c, err = net.DialTimeout(network, to, time.Minute)
		return err
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func cable(actor, address, far string, ns netns.NsHandle) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = actor
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: far, PeerNamespace: netlink.NsFd(ns)}
	if err := netlink.LinkAdd(veth); err != nil {
		return err
	}
	if err := addAddress(actor, address); err != nil {
		return err
	}
	return errors.Join(up("lo"), up(actor))
}

func unplug(name string) {
	if l, err := netlink.LinkByName(name); err == nil {
		_ = netlink.LinkDel(l)
	}
}

func addAddress(name, address string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	return netlink.AddrAdd(l, a)
}

func up(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}

// carries waits until an end sends: some time after the cable is there, the
// kernel still drops what it is given.
func carries(name string) error {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		l, err := netlink.LinkByName(name)
		if err != nil || l.Attrs().OperState == netlink.OperUp {
			return err
		}
	}
	return fmt.Errorf("%s has no carrier after a minute", name)
}

func must(t *testing.T, err error, doing string) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", doing, err)
	}
}

// Events is what an actor logged.
type Events struct {
	mu    sync.Mutex
	lines []map[string]any
	more  chan struct{}
}

// Start runs an actor until the test ends and returns once it is ready. It
// fails the test when the actor ends with an error.
func Start(t *testing.T, run func(ctx context.Context, w io.Writer) error) *Events {
	t.Helper()
	e := &Events{more: make(chan struct{})}
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	read, ended := make(chan struct{}), make(chan error, 1)
	go func() { defer close(read); e.read(r) }()
	go func() { err := run(ctx, w); _ = w.Close(); ended <- err }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the actor ended with: %v", err)
		}
		<-read
	})
	e.Wait(t, "ready", nil)
	return e
}

func (e *Events) read(r io.Reader) {
	for s := bufio.NewScanner(r); s.Scan(); {
		event := map[string]any{}
		d := json.NewDecoder(bytes.NewReader(s.Bytes()))
		if d.Decode(&event) != nil {
			event["msg"] = "not JSON: " + s.Text()
		}
		e.mu.Lock()
		e.lines = append(e.lines, event)
		close(e.more)
		e.more = make(chan struct{})
		e.mu.Unlock()
	}
}

// Wait returns the first event of that kind with these attributes; it fails
// the test when none comes in a minute.
func (e *Events) Wait(t *testing.T, kind string, with map[string]any) map[string]any {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		found, more := e.find(kind, with)
		if found != nil {
			return found
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("the actor never logged %q with %v; it logged %v", kind, with, e.All())
		}
	}
}

// All are the events so far.
func (e *Events) All() []map[string]any {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]map[string]any{}, e.lines...)
}

func (e *Events) find(kind string, with map[string]any) (map[string]any, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, line := range e.lines {
		if line["msg"] == kind && fits(line, with) {
			return line, nil
		}
	}
	return nil, e.more
}

func fits(line, with map[string]any) bool {
	for k, v := range with {
		if fmt.Sprint(line[k]) != fmt.Sprint(v) {
			return false
		}
	}
	return true
}
