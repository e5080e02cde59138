package portal

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// table is the routing table that takes whatever comes in on the interface for
// our own; the number is in nobody's use by convention.
const table = 8966

// capture makes every address be the portal, for packets that come in on an
// interface: policy routing to a table whose default route is local
// (Linux, Documentation/networking/tproxy.rst, without the proxy). It still
// answers ARP for its own address only: a portal is a router, and not whoever
// one asks for on the segment. It returns how to undo all this.
func capture(ifname string) (undo func() error, err error) {
	quiet, err := ownARPOnly(ifname)
	if err != nil {
		return nil, err
	}
	uncapture, err := captureRoutes(ifname)
	if err != nil {
		return nil, errors.Join(err, quiet())
	}
	return func() error { return errors.Join(uncapture(), quiet()) }, nil
}

// ownARPOnly sets arp_ignore (Linux, Documentation/networking/ip-sysctl.rst)
// and returns how to set it back.
func ownARPOnly(ifname string) (undo func() error, err error) {
	file := "/proc/sys/net/ipv4/conf/" + ifname + "/arp_ignore"
	before, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte("1"), 0)
	}
	if err != nil {
		return nil, fmt.Errorf("answer ARP for own addresses only on %s: %w", ifname, err)
	}
	return func() error { return os.WriteFile(file, before, 0) }, nil
}

func captureRoutes(ifname string) (undo func() error, err error) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, fmt.Errorf("capture all addresses: %w", err)
	}
	_, all, _ := net.ParseCIDR("0.0.0.0/0")
	route := &netlink.Route{LinkIndex: lo.Attrs().Index, Dst: all, Table: table, Type: unix.RTN_LOCAL, Scope: unix.RT_SCOPE_HOST}
	rule := netlink.NewRule()
	rule.IifName, rule.Table, rule.Priority, rule.Family = ifname, table, 100, unix.AF_INET
	if err := netlink.RouteReplace(route); err != nil {
		return nil, fmt.Errorf("capture all addresses: a local default route in table %d: %w", table, err)
	}
	if err := netlink.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, errors.Join(fmt.Errorf("capture all addresses: a rule for what comes in on %s: %w", ifname, err), netlink.RouteDel(route))
	}
	return func() error { return errors.Join(netlink.RuleDel(rule), netlink.RouteDel(route)) }, nil
}

// transparent lets a socket answer from an address that is not the machine's.
var transparent = net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
	var err error
	if failed := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1) }); failed != nil {
		return failed
	}
	return err
}}
