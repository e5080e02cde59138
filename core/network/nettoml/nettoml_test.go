package nettoml

import (
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/g8os/g8os/core/network"
)

// parse fails the test on any problem.
func parse(t *testing.T, text string) Config {
	t.Helper()
	c, problems := Parse("net.toml", []byte(text))
	for _, p := range problems {
		t.Errorf("unexpected: %s", p)
	}
	return c
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

func TestWholeFile(t *testing.T) {
	text, err := os.ReadFile("testdata/whole.toml")
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, string(text))
	wantControllers := []string{"https://ac1.grid.example:8966", "https://192.168.7.2:8966", "https://[fd00:7::2]:9000"}
	if !slices.Equal(c.Controllers, wantControllers) {
		t.Errorf("controllers %v, want %v", c.Controllers, wantControllers)
	}
	want := []Interface{
		{
			Name: "eth0", Line: 3, Kind: Physical, Method: Static, MTU: 1500, Metric: 50,
			Addresses: prefixes("192.168.7.10/24", "10.1.0.10/16", "fd00:7::10/64"),
			Gateways:  addrs("192.168.7.1", "fd00:7::1"), DNS: addrs("192.168.7.1", "fd00:7::53"),
			Routes: []network.Route{
				{To: netip.MustParsePrefix("10.0.0.0/8"), Via: netip.MustParseAddr("192.168.7.254"), Metric: 10},
				{To: netip.MustParsePrefix("172.16.0.0/12"), Metric: 50},
			},
		},
		{Name: "eth1", Line: 18, Kind: Physical, Method: DHCP, Metric: 101, MTU: 9000},
		{Name: "eth2", Line: 22, Kind: Physical, Method: None, Metric: 102},
		{Name: "office", Line: 25, Kind: VLAN, Method: DHCP, Metric: 103, VLAN: &VLANSettings{Parent: "bond0", ID: 42}},
		{Name: "storage", Line: 31, Kind: VXLAN, Method: None, Metric: 104,
			VXLAN: &VXLANSettings{VNI: 42, Parent: "eth0", Group: addrs("239.1.1.1")[0], Port: 4789}},
		{Name: "br0", Line: 38, Kind: Bridge, Method: None, Metric: 105, Bridge: &BridgeSettings{Ports: []string{"eth3", "storage"}, STP: true}},
		{Name: "bond0", Line: 44, Kind: Bond, Method: DHCP, Metric: 106, Bond: &BondSettings{Ports: []string{"eth4", "eth5"}, Mode: "802.3ad", Miimon: 50}},
		{Name: "ovs0", Line: 51, Kind: OVS, Method: None, Metric: 107, OVS: &OVSSettings{Ports: []string{"eth6"}, Datapath: "netdev"}},
		{Name: "mgmt", Line: 57, Kind: OVS, Method: DHCP, Metric: 108, OVS: &OVSSettings{Bridge: "ovs0", Tag: 10}},
	}
	for n, i := range want {
		if n >= len(c.Interfaces) {
			t.Fatalf("%s is missing", i.Name)
		}
		if !reflect.DeepEqual(normal(c.Interfaces[n]), normal(i)) {
			t.Errorf("\n got %s\nwant %s", show(c.Interfaces[n]), show(i))
		}
	}
	var order []string
	for _, i := range c.InOrder() {
		order = append(order, i.Name)
	}
	if got := strings.Join(order, " "); got != "eth0 eth1 eth2 bond0 office storage br0 ovs0 mgmt" {
		t.Errorf("order %s", got)
	}
}

// normal makes empty and absent lists the same.
func normal(i Interface) Interface {
	i.Addresses = append([]netip.Prefix{}, i.Addresses...)
	i.Gateways = append([]netip.Addr{}, i.Gateways...)
	i.Routes = append([]network.Route{}, i.Routes...)
	i.DNS = append([]netip.Addr{}, i.DNS...)
	return i
}

func show(i Interface) string {
	return fmt.Sprintf("%+v %+v %+v %+v %+v %+v", i, i.VLAN, i.VXLAN, i.Bridge, i.Bond, i.OVS)
}

// static is an interface that is right, to which a case adds a mistake on line 4.
const static = "[interface.eth0]\nmethod = \"static\"\naddress = \"10.0.0.5/24\"\n"

// TestProblems has every mistake with the very line it causes.
func TestProblems(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key at the top", `timeout = 5`, `1: timeout: unknown key; expected one of controllers, interface`},
		{"a near miss at the top", `controllerz = []`, `1: controllerz: unknown key (did you mean controllers?); expected one of controllers, interface`},
		{"unknown section", "[interfaces.eth0]", `1: interfaces: unknown section (did you mean interface?); expected one of controllers, interface`},
		{"unknown key", static + "gatway = \"10.0.0.1\"", `4: interface.eth0.gatway: unknown key (did you mean gateway?); expected one of kind, method, address, gateway, routes, dns, mtu, metric`},
		{"controllers too late", static + "controllers = []", `4: interface.eth0.controllers: unknown key; expected controllers before the first [section]`},
		{"key of another kind", static + "vni = 4", `4: interface.eth0.vni: has no place in kind physical; expected kind = "vxlan"`},
		{"wrong type", static + "mtu = \"1500\"", `4: interface.eth0.mtu: is a string; expected an integer`},
		{"wrong type in a list", static + "dns = [\n  \"10.0.0.1\",\n  5,\n]", `6: interface.eth0.dns: has an integer in it; expected only strings`},
		{"list expected", static + "dns = true", `4: interface.eth0.dns: is true or false; expected a string or a list of strings`},
		{"a date", static + "mtu = 2020-01-01", `4: interface.eth0.mtu: is a number or date; expected an integer`},
		{"section expected", "interface.eth0 = 5", `1: interface.eth0: is an integer; expected a section [interface.NAME]`},
		{"sections expected", "interface = 5", `1: interface: is an integer; expected sections [interface.NAME]`},
		{"section under a value", "interface = 5\n[interface.eth0]", `2: interface: is an integer since line 1; expected a table|1: interface: is an integer; expected sections [interface.NAME]`},
		{"key twice", static + "method = \"dhcp\"", `4: interface.eth0.method: is there twice, first on line 2; expected one of them; this one is left out`},
		{"section twice", static + "[interface.eth0]\nmtu = 1400", `4: interface.eth0: is there twice, first on line 1; expected one section for it; this one is left out`},
		{"bad name", "[interface.\"a/b\"]", `1: interface.a/b: "a/b" has a character that an interface cannot have; expected the name of an interface`},
		{"long name", "[interface.abcdefghijklmnop]", `1: interface.abcdefghijklmnop: "abcdefghijklmnop" is longer than the 15 bytes that the kernel allows; expected the name of an interface`},
		{"lo", "[interface.lo]", `1: interface.lo: "lo" is the loopback, which is always left alone; expected the name of an interface`},

		{"method unknown", "[interface.e]\nmethod = \"auto\"", `2: interface.e.method: "auto" is not known; expected one of static, dhcp, none`},
		{"method mistyped", "[interface.e]\nmethod = \"non\"", `2: interface.e.method: "non" is not known (taken as none); expected one of static, dhcp, none`},
		{"method missing", "\n[interface.e]\nmtu = 1500", `2: interface.e.method: is missing, and there is no address (taken as dhcp); expected one of static, dhcp, none`},
		{"kind unknown", "[interface.e]\nmethod=\"dhcp\"\nkind = \"brigde\"", `3: interface.e.kind: "brigde" is not known (taken as bridge); expected one of physical, vlan, vxlan, bridge, bond, ovs`},
		{"static without an address", "[interface.e]\nmethod = \"static\"", `2: interface.e.method: is static without a usable address; expected address = ["192.168.7.10/24"], or method = "none"`},
		{"dhcp with an address", "[interface.e]\nmethod = \"dhcp\"\naddress = \"10.0.0.5/24\"", `3: interface.e.address: has no place beside method = "dhcp"; expected method = "static", or no address`},
		{"none with an MTU", "[interface.e]\nmethod = \"none\"\nmtu = 1400", `3: interface.e.mtu: has no place beside method = "none"; expected method = "static", or no mtu`},

		{"not an address", "[interface.e]\naddress = [\n \"10.0.0.5/24\",\n \"10.0.0.300/24\"]", `4: interface.e.address: "10.0.0.300/24" is not an address; expected an address of this node with its prefix length, like 192.168.7.10/24`},
		{"no prefix length", static + "[interface.e]\naddress = [\"10.0.1.5\", \"10.0.2.5/24\"]", `5: interface.e.address: "10.0.1.5" has no prefix length; expected an address of this node with its prefix length, like 192.168.7.10/24`},
		{"network address", "[interface.e]\naddress = [\"10.0.1.0/24\", \"10.0.2.5/24\"]", `2: interface.e.address: "10.0.1.0/24" is the address of the network itself; expected an address of this node with its prefix length, like 192.168.7.10/24`},
		{"broadcast address", "[interface.e]\naddress = [\"10.0.1.127/25\", \"10.0.2.5/24\"]", `2: interface.e.address: "10.0.1.127/25" is the broadcast address of its network; expected an address of this node with its prefix length, like 192.168.7.10/24`},
		{"multicast address", "[interface.e]\naddress = [\"224.0.0.5/24\", \"10.0.2.5/24\"]", `2: interface.e.address: "224.0.0.5/24" is not an address that a host can have; expected an address of this node with its prefix length, like 192.168.7.10/24`},
		{"mapped address", "[interface.e]\naddress = [\"::ffff:10.0.0.1/120\", \"10.0.2.5/24\"]", `2: interface.e.address: "::ffff:10.0.0.1/120" is an IPv4 address in the form of IPv6; expected an address of this node with its prefix length, like 192.168.7.10/24`},
		{"address twice", "[interface.e]\naddress = [\"10.0.2.5/24\",\n\"10.0.2.5/16\"]", `3: interface.e.address: "10.0.2.5/16" is there twice; expected an address of this node with its prefix length, like 192.168.7.10/24`},
		{"address on two", static + "[interface.e]\naddress = [\"10.9.0.1/24\",\n \"10.0.0.5/24\"]", `6: interface.e.address: 10.0.0.5 is on eth0 already; expected each address once`},
		{"gateway outside", static + "gateway = \"10.0.1.1\"", `4: interface.eth0.gateway: "10.0.1.1" is outside every prefix of this interface; expected one address per family, within a prefix of this interface`},
		{"own gateway", static + "gateway = \"10.0.0.5\"", `4: interface.eth0.gateway: "10.0.0.5" is this interface's own address; expected one address per family, within a prefix of this interface`},
		{"two gateways", static + "gateway = [\"10.0.0.1\", \"10.0.0.2\"]", `4: interface.eth0.gateway: "10.0.0.2" is a second gateway of its family; expected one address per family, within a prefix of this interface`},
		{"gateway with a zone", static + "gateway = \"fe80::1%eth0\"", `4: interface.eth0.gateway: "fe80::1%eth0" is not a plain address; expected one address per family, within a prefix of this interface`},
		{"bad server", static + "dns = \"dns.example\"", `4: interface.eth0.dns: "dns.example" is not an address; expected an address like 192.168.7.1`},
		{"server twice", static + "dns = [\"1.1.1.1\", \"1.1.1.1\"]", `4: interface.eth0.dns: "1.1.1.1" is there twice; expected an address like 192.168.7.1`},
		{"MTU out of range", static + "mtu = 20", `4: interface.eth0.mtu: 20 is out of range; expected 68 to 65535`},
		{"MTU too small for IPv6", "[interface.e]\naddress = \"fd00::5/64\"\nmtu = 1000", `3: interface.e.mtu: 1000 is too small for an IPv6 address; expected 1280 or more`},
		{"metric out of range", static + "metric = -1", `4: interface.eth0.metric: -1 is out of range; expected 0 to 2147483647`},

		{"route of a wrong type", static + "routes = [\"10.0.0.0/8\"]", `4: interface.eth0.routes: has a string in it; expected tables like { to = "10.0.0.0/8", via = "192.168.7.254" }`},
		{"route to nowhere", static + "routes = [{via = \"10.0.0.1\"}]", `4: interface.eth0.routes[0].to: is missing; expected a network like 10.0.0.0/8, or default`},
		{"route to garbage", static + "routes = [{to = \"x\"}]", `4: interface.eth0.routes[0].to: "x" is not a network; expected a network like 10.0.0.0/8, or default`},
		{"route with host bits", static + "routes = [{to = \"10.1.0.1/16\"}]", `4: interface.eth0.routes[0].to: "10.1.0.1/16" has bits set beyond its prefix; expected 10.1.0.0/16`},
		{"route via outside", static + "routes = [{to = \"10.1.0.0/16\", via = \"10.7.0.1\"}]", `4: interface.eth0.routes[0].via: "10.7.0.1" is outside every prefix of this interface; expected an address within a prefix of this interface`},
		{"route of two families", static + "routes = [{to = \"fd00::/16\", via = \"10.0.0.1\"}]", `4: interface.eth0.routes[0].via: fd00::/16 and 10.0.0.1 are of two families; expected both IPv4 or both IPv6`},
		{"route twice", static + "routes = [{to = \"10.1.0.0/16\"},\n {to = \"10.1.0.0/16\"}]", `5: interface.eth0.routes[1].to: 10.1.0.0/16 with metric 100 is there twice; expected one way to each place, or another metric`},
		{"route key", static + "[[interface.eth0.routes]]\nto = \"10.1.0.0/16\"\nvai = \"10.0.0.1\"", `6: interface.eth0.routes[0].vai: unknown key (did you mean via?); expected one of to, via, metric`},
		{"default without via", static + "routes = [{to = \"default\"}]", `4: interface.eth0.routes[0].to: default needs a via; expected a network like 10.0.0.0/8, or default`},

		{"vlan without parent", "[interface.v]\nmethod=\"dhcp\"\nkind=\"vlan\"\nid=5", `1: interface.v.parent: is missing; expected the interface that carries the VLAN`},
		{"vlan without id", "[interface.v]\nmethod=\"dhcp\"\nkind=\"vlan\"\nparent=\"eth0\"", `1: interface.v.id: is missing; expected 1 to 4094`},
		{"vlan id", "[interface.v]\nmethod=\"dhcp\"\nkind=\"vlan\"\nparent=\"eth0\"\nid=4095", `5: interface.v.id: 4095 is out of range; expected 1 to 4094`},
		{"vlan on itself", "[interface.v]\nmethod=\"dhcp\"\nkind=\"vlan\"\nparent=\"v\"\nid=5", `1: interface.v: is made of itself; expected parent and ports that lead to other interfaces`},
		{"parent with a bad name", "[interface.v]\nmethod=\"dhcp\"\nkind=\"vlan\"\nparent=\"lo\"\nid=5", `4: interface.v.parent: "lo" is the loopback, which is always left alone; expected the name of an interface`},
		{"vni", "[interface.v]\nmethod=\"dhcp\"\nkind=\"vxlan\"\nvni=16777216", `4: interface.v.vni: 16777216 is out of range; expected 1 to 16777215`},
		{"vxlan with two ends", "[interface.v]\nmethod=\"dhcp\"\nkind=\"vxlan\"\nvni=1\nparent=\"e\"\nremote=\"10.0.0.1\"\ngroup=\"239.1.1.1\"", `7: interface.v.group: is there beside remote; expected one of the two`},
		{"group of one", "[interface.v]\nmethod=\"dhcp\"\nkind=\"vxlan\"\nvni=1\nparent=\"e\"\ngroup=\"10.0.0.1\"", `6: interface.v.group: "10.0.0.1" is not a multicast address; expected a group like 239.1.1.1, or remote`},
		{"group without parent", "[interface.v]\nmethod=\"dhcp\"\nkind=\"vxlan\"\nvni=1\ngroup=\"239.0.0.1\"", `5: interface.v.group: needs a parent; expected parent = the interface that the group is joined on`},
		{"remote of many", "[interface.v]\nmethod=\"dhcp\"\nkind=\"vxlan\"\nvni=1\nremote=\"239.0.0.1\"", `5: interface.v.remote: "239.0.0.1" is a multicast address; expected the address of one peer, or group`},
		{"two families of a tunnel", "[interface.v]\nmethod=\"dhcp\"\nkind=\"vxlan\"\nvni=1\nlocal=\"fd00::1\"\nremote=\"10.0.0.1\"", `5: interface.v.local: fd00::1 and 10.0.0.1 are of two families; expected both IPv4 or both IPv6`},
		{"bad remote", "[interface.v]\nmethod=\"dhcp\"\nkind=\"vxlan\"\nvni=1\nremote=\"there\"", `5: interface.v.remote: "there" is not an address; expected an address like 192.168.7.1 or fd00:7::1`},
		{"bond without ports", "[interface.b]\nmethod=\"dhcp\"\nkind=\"bond\"", `1: interface.b.ports: is missing; expected the interfaces to bond`},
		{"bond of no ports", "[interface.b]\nmethod=\"dhcp\"\nkind=\"bond\"\nports=[]", `4: interface.b.ports: is empty; expected the interfaces to bond`},
		{"bond mode", "[interface.b]\nmethod=\"dhcp\"\nkind=\"bond\"\nports=[\"e\"]\nmode=\"fast\"", `5: interface.b.mode: "fast" is not known; expected one of active-backup, 802.3ad, balance-rr, balance-xor, broadcast, balance-tlb, balance-alb`},
		{"port twice", "[interface.b]\nmethod=\"dhcp\"\nkind=\"bridge\"\nports=[\"e\",\n\"e\"]", `5: interface.b.ports: "e" is there twice; expected the name of an interface, once`},
		{"port of two", "[interface.b]\nmethod=\"dhcp\"\nkind=\"bridge\"\nports=[\"e\"]\n[interface.c]\nmethod=\"dhcp\"\nkind=\"bridge\"\nports=[\"e\"]", `8: interface.c.ports: e is a port of b already; expected each interface in one place`},
		{"port with an address", static + "[interface.b]\nmethod=\"dhcp\"\nkind=\"bridge\"\nports=[\"eth0\"]", `3: interface.eth0.address: a port of b has no address of its own; expected the address on b, and method = "none" here`},
		{"port with a lease", "[interface.e]\nmethod=\"dhcp\"\n[interface.b]\nmethod=\"dhcp\"\nkind=\"bridge\"\nports=[\"e\"]", `2: interface.e.method: a port of b has no address of its own; expected the address on b, and method = "none" here`},
		{"port with an MTU", "[interface.e]\nmtu=9000\n[interface.b]\nmethod=\"dhcp\"\nkind=\"bridge\"\nports=[\"e\"]", `2: interface.e.mtu: a port of b has the MTU of that; expected mtu on b`},
		{"tag on a bridge", "[interface.o]\nmethod=\"dhcp\"\nkind=\"ovs\"\ntag=4", `4: interface.o.tag: has no place on a bridge; expected a section of its own for the bridge`},
		{"ports of a port", "[interface.o]\nmethod=\"dhcp\"\nkind=\"ovs\"\nbridge=\"x\"\nports=[\"e\"]", `5: interface.o.ports: has no place on a port of a bridge; expected a section of its own for the bridge`},
		{"port on no bridge", static + "[interface.o]\nmethod=\"dhcp\"\nkind=\"ovs\"\nbridge=\"eth0\"", `7: interface.o.bridge: eth0 is not an Open vSwitch bridge; expected kind = "ovs" there`},

		{"controllers of a wrong type", "controllers = 5", `1: controllers: is an integer; expected a string or a list of strings`},
		{"controller without https", "controllers = [\n\"http://a\"]", `2: controllers: "http://a" is not an https URL; expected https://HOST or https://HOST:PORT`},
		{"controller with a path", `controllers = ["https://a/x"]`, `1: controllers: "https://a/x" has more than a host and a port; expected https://HOST or https://HOST:PORT`},
		{"controller with a user", `controllers = ["https://u@a"]`, `1: controllers: "https://u@a" has more than a host and a port; expected https://HOST or https://HOST:PORT`},
		{"controller without host", `controllers = ["https://"]`, `1: controllers: "https://" has no valid host; expected https://HOST or https://HOST:PORT`},
		{"controller at a bad address", `controllers = ["https://10.0.0.300"]`, `1: controllers: "https://10.0.0.300" has no valid host; expected https://HOST or https://HOST:PORT`},
		{"controller with a bad port", `controllers = ["https://a:99999"]`, `1: controllers: "https://a:99999" has no valid port; expected https://HOST or https://HOST:PORT`},
		{"controller twice", `controllers = ["https://a", "https://a:8966"]`, `1: controllers: "https://a:8966" is there twice; expected https://HOST or https://HOST:PORT`},
		{"not TOML", static + "mtu 1500", `4: not TOML: expected '=' after key; expected key = value, or a [section]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, problems := Parse("net.toml", []byte(c.text))
			var got []string
			for _, p := range problems {
				got = append(got, p.String())
			}
			var want []string
			for _, w := range strings.Split(c.want, "|") {
				want = append(want, "net.toml:"+w)
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s\n got %s\nwant %s", c.text, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
			}
		})
	}
}
