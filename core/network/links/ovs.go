package links

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/g8os/g8os/core/network/nettoml"
)

// The time that Open vSwitch has for one change: its own limit, in seconds,
// and ours, should ovs-vsctl not keep to it.
const (
	ovsSeconds = "5"
	ovsTimeout = 10 * time.Second
)

// ensureOVS makes or adjusts a bridge of Open vSwitch, or an internal port on
// one. What could not be made leaves nothing behind. The rows that we made carry external_ids:g8os.
func (l *Links) ensureOVS(i nettoml.Interface) error {
	if err := l.notForeign(i.Name); err != nil {
		return err
	}
	fresh := l.record.find(i.Name) == nil
	if fresh {
		l.record.Links = append(l.record.Links, &entry{Name: i.Name, Made: string(nettoml.OVS)})
	}
	if err := l.save(); err != nil {
		return err
	}
	var err error
	if i.OVS.Bridge == "" {
		err = l.ensureOVSBridge(i.Name, *i.OVS, i.MTU)
	} else {
		err = l.ensureOVSPort(i.Name, *i.OVS)
	}
	if err == nil {
		err = l.provenOVS(i.Name)
	}
	if err == nil || !fresh {
		return errors.Join(err, l.save())
	}
	err = errors.Join(err, l.releasePorts(i.Name, nil), l.removeOVS(i.Name))
	l.record.forget(i.Name)
	return errors.Join(err, l.save())
}

// notForeign refuses an interface that is there without our having made it.
func (l *Links) notForeign(name string) error {
	_, err := l.find(name)
	if errors.Is(err, ErrNoInterface) {
		return nil
	}
	if e := l.record.find(name); err == nil && (e == nil || e.Made != string(nettoml.OVS)) {
		return fmt.Errorf("an interface of that name is there: %w", ErrNotOurs)
	}
	return err
}

func (l *Links) ensureOVSBridge(name string, o nettoml.OVSSettings, mtu int) error {
	datapath := o.Datapath
	if datapath == "" {
		datapath = kernelDatapath()
	}
	if _, err := l.vsctl("--may-exist", "add-br", name, "--", "set", "bridge", name,
		"datapath_type="+datapath, "external_ids:g8os=1"); err != nil {
		return err
	}
	ports, err := l.vsctl("list-ports", name)
	if err != nil {
		return err
	}
	return l.ovsPorts(name, strings.Fields(ports), o.Ports, mtu)
}

// ovsPorts adds the ports that are missing, and takes away those of ours that
// are no longer wanted. Internal ports have sections of their own.
func (l *Links) ovsPorts(bridge string, have, want []string, mtu int) error {
	var errs []error
	for _, p := range have {
		if slices.Contains(want, p) {
			continue
		}
		if e := l.record.find(p); e == nil || e.Master != bridge {
			continue
		}
		_, err := l.vsctl("--if-exists", "del-port", bridge, p)
		errs = append(errs, err)
		if e := l.record.find(p); e != nil {
			errs = append(errs, l.releasePort(e))
		}
	}
	for _, p := range want {
		errs = append(errs, l.takeOVSPort(bridge, p, slices.Contains(have, p), mtu))
	}
	return errors.Join(errs...)
}

func (l *Links) takeOVSPort(bridge, name string, there bool, mtu int) error {
	k, err := l.find(name)
	if err != nil {
		return fmt.Errorf("port: %w", err)
	}
	if !there {
		l.entryOf(k).Master = bridge
		if err := l.save(); err != nil {
			return err
		}
		if _, err := l.vsctl("add-port", bridge, name, "--", "set", "port", name, "external_ids:g8os=1"); err != nil {
			return err
		}
	}
	if err := l.ovsError(name); err != nil {
		return err
	}
	return errors.Join(l.portMTU(k, mtu), l.setUp(k))
}

func (l *Links) ensureOVSPort(name string, o nettoml.OVSSettings) error {
	args := []string{"--may-exist", "add-port", o.Bridge, name, "--", "set", "interface", name, "type=internal",
		"--", "set", "port", name, "external_ids:g8os=1"}
	if o.Tag == 0 {
		args = append(args, "--", "clear", "port", name, "tag")
	} else {
		args = append(args, "tag="+strconv.Itoa(o.Tag))
	}
	on, err := l.vsctl("--if-exists", "get", "interface", name, "name")
	if err == nil && on != "" { // it may be on another bridge: then it moves
		if from, err := l.vsctl("iface-to-br", name); err == nil && from != o.Bridge {
			args = append([]string{"--if-exists", "del-port", name, "--"}, args...)
		}
	}
	_, err = l.vsctl(args...)
	return err
}

// provenOVS asks what became of an interface: the exit code of ovs-vsctl only
// says that the wish was written down.
func (l *Links) provenOVS(name string) error {
	if err := l.ovsError(name); err != nil {
		return err
	}
	k, err := l.find(name)
	if err != nil {
		return fmt.Errorf("Open vSwitch made it in another network namespace: %w", err)
	}
	l.entryOf(k)
	return nil
}

// ovsError reads the column in which ovs-vswitchd says why an interface failed.
func (l *Links) ovsError(name string) error {
	out, err := l.vsctl("get", "interface", name, "error", "ofport")
	if err != nil {
		return err
	}
	reason, port, _ := strings.Cut(out, "\n")
	if reason != "[]" {
		return fmt.Errorf("Open vSwitch could not set up %s: %s", name, strings.Trim(reason, `"`))
	}
	if port == "-1" || port == "[]" {
		return fmt.Errorf("Open vSwitch gave %s no port; see the log of ovs-vswitchd", name)
	}
	return nil
}

// removeOVS takes a bridge or port away, wherever it is.
func (l *Links) removeOVS(name string) error {
	if _, err := l.vsctl("br-exists", name); err == nil {
		_, err = l.vsctl("del-br", name)
		return err
	}
	_, err := l.vsctl("--if-exists", "del-port", name)
	return err
}

// vsctl runs ovs-vsctl and returns what it printed. Meanwhile others may use
// Links: a switch that does not answer must not stop them.
func (l *Links) vsctl(args ...string) (string, error) {
	l.mu.Unlock()
	defer l.mu.Lock()
	ctx, cancel := context.WithTimeout(context.Background(), ovsTimeout)
	defer cancel()
	all := []string{"--timeout=" + ovsSeconds}
	if l.opts.OVSDB != "" {
		all = append(all, "--db="+l.opts.OVSDB)
	}
	cmd := exec.CommandContext(ctx, "ovs-vsctl", append(all, args...)...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("this machine has no Open vSwitch (package openvswitch-switch): %w", errors.Join(ErrUnsupported, err))
	case strings.Contains(complaint.String(), "database connection failed"):
		return "", fmt.Errorf("Open vSwitch does not answer (is ovsdb-server running?): %w: %s", err, strings.TrimSpace(complaint.String()))
	case err != nil:
		return "", fmt.Errorf("ovs-vsctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// kernelDatapath prefers the kernel's datapath where its module is.
func kernelDatapath() string {
	if _, err := netlink.GenlFamilyGet("ovs_datapath"); err != nil {
		return "netdev"
	}
	return "system"
}
