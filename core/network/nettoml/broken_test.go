package nettoml

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/g8os/g8os/core/network"
)

// names lists what was kept, with the first address of each.
func names(c Config) string {
	var list []string
	for _, i := range c.Interfaces {
		name := i.Name
		if len(i.Addresses) > 0 {
			name += "=" + i.Addresses[0].String()
		}
		list = append(list, name)
	}
	return strings.Join(list, " ")
}

// TestT12HalfConfiguredKeepsTheRest breaks a file in many ways; each costs one
// line and no more than what it touches.
func TestT12HalfConfiguredKeepsTheRest(t *testing.T) {
	const before = "[interface.a]\naddress = \"10.0.0.1/24\"\n"
	const after = "[interface.z]\naddress = \"10.0.9.1/24\"\n"
	for _, c := range []struct {
		name, broken string
		line         int
		kept         string
	}{
		{"a list that does not end", "[interface.m]\naddress = [\"10.0.1.1/24\"\nmethod = \"dhcp\"\n", 4, "a=10.0.0.1/24 m z=10.0.9.1/24"},
		{"a list that does not end before a section", "[interface.m]\nmethod = \"dhcp\"\ndns = [\n", 5, "a=10.0.0.1/24 m z=10.0.9.1/24"},
		{"a string that does not end", "[interface.m]\nmethod = \"dhcp\ndns = \"1.1.1.1\"\naddress = \"10.0.1.1/24\"\n", 4, "a=10.0.0.1/24 m=10.0.1.1/24 z=10.0.9.1/24"},
		{"a header that does not end", "[interface.m\naddress = \"10.0.1.1/24\"\n", 3, "a=10.0.0.1/24 z=10.0.9.1/24"},
		{"no value", "mtu =\n", 3, "a=10.0.0.1/24 z=10.0.9.1/24"},
		{"garbage", "%%% &&& \x00\xff\n", 3, "a=10.0.0.1/24 z=10.0.9.1/24"},
		{"a broken element", "dns = [\n\"1.1.1.1\",\n???,\n]\n", 5, "a=10.0.0.1/24 z=10.0.9.1/24"},
		{"a bare word", "mtu = big\n", 3, "a=10.0.0.1/24 z=10.0.9.1/24"},
		{"two on a line", "mtu = 1500 metric = 5\n", 3, "a=10.0.0.1/24 z=10.0.9.1/24"},
		{"a multi-line string that does not end", "mtu = \"\"\"\nx\n", 3, "a=10.0.0.1/24 z=10.0.9.1/24"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, problems := Parse("net.toml", []byte(before+c.broken+after))
			if got := names(cfg); got != c.kept {
				t.Errorf("kept %s, want %s", got, c.kept)
			}
			if len(problems) != 1 || problems[0].Line != c.line || problems[0].Key != "" {
				t.Errorf("problems %v, want one, on line %d", problems, c.line)
			}
		})
	}
}

// TestPortsNeedNoMethod: what a bridge takes is not tried in any step.
func TestPortsNeedNoMethod(t *testing.T) {
	c := parse(t, "[interface.e]\n[interface.b]\nmethod=\"dhcp\"\nkind=\"bridge\"\nports=[\"e\"]\n")
	if c.Interfaces[0].Method != None {
		t.Errorf("the port is %+v", c.Interfaces[0])
	}
}

func TestWindowsLinesAndComments(t *testing.T) {
	c := parse(t, "# net\r\n[interface.a] # one\r\naddress = [ # several\r\n  \"10.0.0.1/24\", # this\r\n]\r\n")
	if got := names(c); got != "a=10.0.0.1/24" {
		t.Errorf("kept %s", got)
	}
}

func TestNothingIsNoProblem(t *testing.T) {
	if c := parse(t, ""); len(c.Interfaces)+len(c.Controllers) != 0 {
		t.Errorf("made %+v of nothing", c)
	}
}

func TestTooLarge(t *testing.T) {
	if _, p := Parse("net.toml", make([]byte, MaxSize+1)); len(p) != 1 {
		t.Errorf("problems %v", p)
	}
}

// TestMistakesCostTheirOwn checks what stays of an interface with a mistake.
func TestMistakesCostTheirOwn(t *testing.T) {
	c, problems := Parse("net.toml", []byte(`[interface.a]
method  = "sttic"
address = ["10.0.0.1/24", "10.0.0.2/99"]
gateway = "10.9.9.9"
mtu     = 7
[interface.b]
method = "nnone"
[interface.c]
address = ["10.0.0.1/24"]
gateway = "10.0.0.254"
[interface.v]
kind = "vlan"
method = "dhcp"
`))
	if len(problems) != 7 { // v lacks two things: one line is enough
		t.Errorf("%d problems: %v", len(problems), problems)
	}
	if got := names(c); got != "a=10.0.0.1/24 b c" {
		t.Fatalf("kept %s", got)
	}
	a, b, cc := c.Interfaces[0], c.Interfaces[1], c.Interfaces[2]
	if a.Method != Static || a.MTU != 0 || len(a.Gateways) != 0 {
		t.Errorf("a is %+v", a)
	}
	if b.Method != None {
		t.Errorf("b is %s: a mistyped none must not be touched", b.Method)
	}
	if len(cc.Gateways) != 0 {
		t.Errorf("c has gateway %v without the address that reaches it", cc.Gateways)
	}
}

func TestWant(t *testing.T) {
	c := parse(t, `[interface.a]
method = "none"
[interface.b]
address = ["10.0.0.5/24", "fd00::5/64"]
gateway = ["10.0.0.1", "fe80::1"]
dns = "10.0.0.1"
mtu = 1400
routes = [{ to = "default", via = "10.0.0.2", metric = 7 }]
[interface.c]
method = "dhcp"
dns = "1.1.1.1"
`)
	want := []network.Wanted{
		{},
		{Up: true, MTU: 1400, Addresses: prefixes("10.0.0.5/24", "fd00::5/64"), DNS: addrs("10.0.0.1"), Routes: []network.Route{
			{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.0.0.2"), Metric: 7},
			{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.0.0.1"), Metric: 101},
			{To: netip.MustParsePrefix("::/0"), Via: netip.MustParseAddr("fe80::1"), Metric: 101},
		}},
		{Up: true, DNS: addrs("1.1.1.1")},
	}
	for n, w := range want {
		if got := network.Merge(c.Interfaces[n].Want()); !reflect.DeepEqual(got, network.Merge(w)) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.Interfaces[n].Name, got, w)
		}
	}
}

func TestMissing(t *testing.T) {
	c := parse(t, `[interface.eth0]
method = "dhcp"
[interface.eth9]
method = "dhcp"
[interface.v]
kind = "vlan"
method = "dhcp"
parent = "eth8"
id = 4
[interface.w]
kind = "vlan"
method = "dhcp"
parent = "v"
id = 4
`)
	var got []string
	for _, p := range c.Missing([]string{"lo", "eth0"}) {
		got = append(got, p.String())
	}
	want := []string{
		"net.toml:3: interface.eth9: this machine has no such interface; expected one that it has; or a kind, to make it",
		"net.toml:5: interface.v: is made of eth8, and this machine has no such interface; expected one that it has",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// FuzzParse holds whatever is kept against what the package promises.
func FuzzParse(f *testing.F) {
	f.Add("[interface.eth0]\naddress = [\n\"10.0.0.1/24\"]\ngateway = \"10.0.0.2\"\nroutes = [{to=\"default\",via=\"10.0.0.9\"}]\n")
	f.Add("controllers = [\"https://a\"]\n[interface.v]\nkind=\"vlan\"\nparent=\"e\"\nid=3\n[[interface.v.routes]]\nto=\"::/0\"")
	f.Add("a = \"\"\"\n[interface.x]\n'''")
	f.Add("[interface.b]\nkind=\"bridge\"\nports=[\"c\"]\n[interface.c]\nkind=\"bond\"\nports=[\"b\"]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, problems := Parse("f", []byte(text))
		lines := strings.Count(text, "\n") + 1
		for _, p := range problems {
			if p.Line < 1 || p.Line > lines || p.Wrong == "" {
				t.Errorf("problem %+v of %d lines", p, lines)
			}
		}
		seen := map[string]bool{}
		for _, i := range c.Interfaces {
			if seen[i.Name] || wrongName(i.Name) != "" {
				t.Errorf("interface %q is there twice, or cannot be", i.Name)
			}
			seen[i.Name] = true
			checkKept(t, i)
		}
		if len(c.InOrder()) != len(c.Interfaces) {
			t.Errorf("the order loses interfaces")
		}
	})
}

func checkKept(t *testing.T, i Interface) {
	if i.Method != Static && i.Method != DHCP && i.Method != None {
		t.Errorf("%s has method %q", i.Name, i.Method)
	}
	if i.Method != Static && len(i.Addresses)+len(i.Routes)+len(i.Gateways) > 0 {
		t.Errorf("%s has addresses beside %s", i.Name, i.Method)
	}
	for _, r := range i.Want().Routes {
		if r.Via.IsValid() && (unreachable(r.Via, i.Addresses) != "" || r.Via.Is4() != r.To.Addr().Is4()) {
			t.Errorf("%s has route %+v with %v", i.Name, r, i.Addresses)
		}
	}
}
