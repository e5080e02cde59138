// Package fabric is the cabling of a lab: Open vSwitch in machines of its own,
// a bridge a segment, and a veth pair from a bridge to every NIC.
//
// It promises: all ports of a change go in by one transaction, which is
// checked by reading every port's error back (ovs-vsctl exits 0 for a port
// that could not be made); nothing is ever taken out port by port: the
// switch's machine is powered off and the kernel drops the rest. Flow
// priorities are explicit. The kernel's datapath is used where it exists,
// the userspace one elsewhere; the latter is why checksum offload is off.
//
// It is not a router: segments do not reach each other.
package fabric

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab/impair/thread"
	"github.com/g8os/g8os/lab/machine"
)

// Switch is a running Open vSwitch.
type Switch struct {
	m   *machine.Machine
	dir string // its rundir: sockets and database
}

// Port is one cable: from a NIC of a machine to a segment.
type Port struct {
	Machine string
	NIC     string
	MAC     string
	Segment string
}

// Name of the port at the switch, at most 15 bytes.
func (p Port) Name() string { return short(p.Machine + "_" + strings.TrimPrefix(p.NIC, "eth")) }

// Bridge is the name of a segment's bridge, at most 15 bytes.
func Bridge(segment string) string { return short("br-" + segment) }

// short keeps a kernel object's name within IFNAMSIZ-1.
func short(name string) string {
	if len(name) <= 15 {
		return name
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return fmt.Sprintf("%.6s-%08x", name, h.Sum32())
}

// Boot starts the switch's daemons in its machine, unless they run, and waits
// until they answer. dir must exist.
func Boot(ctx context.Context, m *machine.Machine, dir string) (*Switch, error) {
	s := &Switch{m: m, dir: dir}
	if err := s.boot(ctx); err != nil {
		return nil, fmt.Errorf("start the switch in %s: %w", dir, err)
	}
	return s, nil
}

// Open is a handle on a switch that Boot started.
func Open(m *machine.Machine, dir string) *Switch { return &Switch{m: m, dir: dir} }

func (s *Switch) boot(ctx context.Context) error {
	db := database(s.dir)
	_, err := os.Stat(db)
	again := err == nil
	if !again {
		_, err = s.run(ctx, nil, "ovsdb-tool", "create", db, "/usr/share/openvswitch/vswitch.ovsschema")
	}
	if err != nil {
		return err
	}
	quiet := []string{"-vconsole:warn", "-vsyslog:off", "-vfile:off"}
	daemons := []machine.Job{
		{Name: "ovsdb-server", Argv: append([]string{"ovsdb-server", db, "--remote=punix:" + s.socket(),
			"--unixctl=" + filepath.Join(s.dir, "ovsdb.ctl")}, quiet...)},
		{Name: "ovs-vswitchd", Argv: append([]string{"nice", "-n", "-20", "ovs-vswitchd", "unix:" + s.socket(),
			"--unixctl=" + filepath.Join(s.dir, "vswitchd.ctl")}, quiet...)},
	}
	for _, job := range daemons {
		job.Log = s.m.Name + ".log"
		job.Env = []string{"OVS_RUNDIR=" + s.dir, "OVS_DBDIR=" + s.dir, "OVS_LOGDIR=" + s.dir}
		if st, ok, err := s.m.Job(ctx, job.Name); err != nil || ok && st.Running {
			if err != nil {
				return err
			}
			continue
		}
		if err := s.m.Start(ctx, job); err != nil {
			return err
		}
		switch {
		case job.Name == "ovsdb-server":
			err = s.init(ctx)
		case again:
			err = s.takenOver(ctx)
		}
		if err == nil {
			err = s.prefer(ctx, job.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// prefer makes a job come before the nodes: a switch of hardware waits for
// nobody's processor, and what this one delays must not depend on how busy they
// are. A job that has just ended is missed by whoever needs it.
func (s *Switch) prefer(ctx context.Context, job string) error {
	st, _, err := s.m.Job(ctx, job)
	if err != nil {
		return err
	}
	if err := thread.Prefer(fmt.Sprintf("/proc/%d/root/proc/%d", s.m.Proc.PID, st.PID)); err != nil {
		return fmt.Errorf("%s: %w", job, err)
	}
	return nil
}

func database(dir string) string { return filepath.Join(dir, "conf.db") }

// Forget takes away what the database of a switch that lost power says: its
// ports went with its namespace.
func Forget(dir string) error {
	if err := os.Remove(database(dir)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget the ports of the switch in %s: %w", dir, err)
	}
	return nil
}

// init waits for the database and marks it initialised.
func (s *Switch) init(ctx context.Context) error {
	for {
		_, err := s.run(ctx, nil, "ovs-vsctl", "--db=unix:"+s.socket(), "--no-wait", "init")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("its database does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// takenOver waits until a daemon that was started over a database of its
// predecessor has made what that says: ovs-vsctl waits for nothing but changes.
func (s *Switch) takenOver(ctx context.Context) error {
	_, err := s.run(ctx, nil, "ovs-vsctl", "--db=unix:"+s.socket(), "--timeout=30",
		"set", "Open_vSwitch", ".", fmt.Sprintf("external_ids:started=%d", time.Now().UnixNano()))
	return err
}

func (s *Switch) socket() string { return filepath.Join(s.dir, "db.sock") }

// Plug makes the veth pair of a port: one end in the switch's namespace, up,
// the other in the machine's, down, named and addressed as the NIC. What was
// left of an earlier machine's cable is taken away first.
func (s *Switch) Plug(into int, p Port) error {
	h, err := s.handle()
	if err != nil {
		return err
	}
	defer h.Close()
	if err := plug(h, into, p); err != nil {
		return fmt.Errorf("plug %s of %s into segment %s: %w", p.NIC, p.Machine, p.Segment, err)
	}
	return nil
}

func plug(h *netlink.Handle, into int, p Port) error {
	if err := remove(h, p); err != nil {
		return err
	}
	mac, err := net.ParseMAC(p.MAC)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = p.Name()
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: p.NIC, PeerHardwareAddr: mac, PeerNamespace: netlink.NsPid(into)}
	if err := h.LinkAdd(veth); err != nil {
		return err
	}
	link, err := h.LinkByName(p.Name())
	if err != nil {
		return err
	}
	return h.LinkSetUp(link)
}

// remove takes away what is left of an earlier machine's cable.
func remove(h *netlink.Handle, p Port) error {
	old, err := h.LinkByName(p.Name())
	if err != nil {
		return nil // there is none
	}
	// The kernel takes it away by itself when the earlier machine is gone.
	if err := h.LinkDel(old); err != nil && !errors.Is(err, syscall.ENODEV) {
		return fmt.Errorf("take away its old cable: %w", err)
	}
	return nil
}

// Unplug takes a port away with its cable, and with that the NIC at the other end.
func (s *Switch) Unplug(ctx context.Context, p Port) error {
	if err := s.Disconnect(ctx, []Port{p}); err != nil {
		return err
	}
	h, err := s.handle()
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.LinkByName(p.Name())
	if err == nil {
		err = h.LinkDel(link)
	}
	if err != nil {
		return fmt.Errorf("unplug %s of %s: %w", p.NIC, p.Machine, err)
	}
	return nil
}

// SetCarrier pulls a cable out or puts it back: the NIC at the other end loses
// or regains its carrier. It returns when the switch knows.
func (s *Switch) SetCarrier(ctx context.Context, p Port, on bool) error {
	carrier, err := s.setLink(p, on)
	if err != nil || carrier != on { // the other end is down as well: nothing passes, and nothing changes
		return err
	}
	return s.notice(ctx, p, on)
}

// setLink sets the switch's end of a cable up or down, and says whether it has
// a carrier then.
func (s *Switch) setLink(p Port, on bool) (carrier bool, err error) {
	h, err := s.handle()
	if err != nil {
		return false, err
	}
	defer h.Close()
	link, err := h.LinkByName(p.Name())
	if err == nil && on {
		err = h.LinkSetUp(link)
	} else if err == nil {
		err = h.LinkSetDown(link)
	}
	if err == nil {
		link, err = h.LinkByName(p.Name())
	}
	if err != nil {
		return false, fmt.Errorf("cable of %s of %s: %w", p.NIC, p.Machine, err)
	}
	return link.Attrs().RawFlags&unix.IFF_LOWER_UP != 0, nil
}

func (s *Switch) handle() (*netlink.Handle, error) {
	ns, err := netns.GetFromPath(s.m.NetNS())
	if err != nil {
		return nil, fmt.Errorf("network namespace of the switch: %w", err)
	}
	defer ns.Close()
	return netlink.NewHandleAt(ns)
}

// run runs one of Open vSwitch's tools, which ends when we do. That is watched
// by thread (prctl(2), PR_SET_PDEATHSIG), so the thread is held meanwhile.
func (s *Switch) run(ctx context.Context, stdin []byte, argv ...string) (string, error) {
	program, err := machine.Look(argv[0])
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, program, argv[1:]...)
	cmd.Env = []string{"PATH=" + machine.Path, "OVS_RUNDIR=" + s.dir, "OVS_DBDIR=" + s.dir, "OVS_LOGDIR=" + s.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdin = bytes.NewReader(stdin)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(argv[0]), err, strings.TrimSpace(errs.String()))
	}
	return string(out), nil
}
