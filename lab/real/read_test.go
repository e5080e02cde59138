package real

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/enrol"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/lab/grid"
	"github.com/g8os/g8os/lab/topology"
)

func plan(t *testing.T) *topology.Plan {
	t.Helper()
	top, err := topology.Parse("t.yaml", []byte(`
segments:
  - {name: office, subnet: 192.168.7.0/24}
  - {name: dhcp, subnet: 192.168.8.0/24, dhcp: {first: 192.168.8.10, last: 192.168.8.250, lease: 10m, gateway: 192.168.8.254, dns: [192.168.8.53]}}
acs:
  - {name: ac1, legs: [{segment: office, address: 192.168.7.2}, {segment: dhcp, address: 192.168.8.2}]}
nodes:
  - {name: node, nics: [{segment: office, method: static}, {segment: dhcp}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := top.Plan("t")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMountedReadOnly(t *testing.T) {
	const mounts = `overlay /etc overlay rw,relatime 0 0
/dev/vda /etc/g8os ext4 rw,relatime 0 0
/dev/vda /etc/g8os ext4 ro,relatime 0 0
tmpfs /mnt tmpfs rw 0 0
`
	for place, want := range map[string]bool{"/etc/g8os": true, "/etc": false, "/mnt": false} {
		if is, err := mountedReadOnly(mounts, place); err != nil || is != want {
			t.Errorf("%s: %v, %v", place, is, err)
		}
	}
	if _, err := mountedReadOnly(mounts, "/state"); err == nil {
		t.Error("what is not mounted has a state")
	}
}

func TestClockOf(t *testing.T) {
	for argv, want := range map[string]time.Duration{
		"g8os_core run --clock own": 0, "g8os_core run --clock own:-3600s": -time.Hour, "g8os_core run --clock own:+90s": 90 * time.Second,
	} {
		if got, err := clockOf(strings.Fields(argv)); err != nil || got != want {
			t.Errorf("%s: %s, %v", argv, got, err)
		}
	}
	if _, err := clockOf([]string{"g8os_core", "run"}); err == nil {
		t.Error("no clock was one")
	}
}

func TestHoldings(t *testing.T) {
	got := holdings(plan(t).Nodes[0], parseAddresses(`1: lo    inet 127.0.0.1/8 scope host lo\       valid_lft forever preferred_lft forever
2: eth0    inet 192.168.7.10/24 brd 192.168.7.255 scope global eth0\       valid_lft forever preferred_lft forever
3: eth1@if7    inet6 fe80::1/64 scope link
3: eth1    inet 10.254.254.9/24 scope global eth1\       valid_lft forever
`))
	want := []grid.Holding{
		{NIC: "eth0", Segment: "office", Address: netip.MustParsePrefix("192.168.7.10/24")},
		{NIC: "eth1", Segment: "dhcp", Address: netip.MustParsePrefix("10.254.254.9/24")},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	nodes := []grid.Node{{Name: "node", Holdings: got}}
	if whose(nodes, "10.254.254.9:4711") != "node" || whose(nodes, "10.254.254.10:4711") != "10.254.254.10" {
		t.Error("the owner of an address was not found")
	}
}

func TestStand(t *testing.T) {
	nodes := []grid.Node{
		{Name: "a", Powered: true, Status: api.Status{Phase: "managed", LastError: "old"}},
		{Name: "b", Powered: true, Status: api.Status{Phase: "unlock", WaitsFor: "the AC", LastError: "refused"}},
		{Name: "c"}, {Name: "d", Powered: true},
	}
	if got, want := stand(nodes), `b is unlock, waits for "the AC", last error "refused"; c is off; d is down; a is managed`; got != want {
		t.Errorf("got %s", got)
	}
	many := make([]grid.Node, 30)
	if got := stand(many); !strings.HasSuffix(got, "… (30 in all)") {
		t.Errorf("got %s", got)
	}
}

func TestSecretLines(t *testing.T) {
	pem := "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49\nshort\n-----END PRIVATE KEY-----\n"
	if got := secretLines(pem); len(got) != 1 || got[0] != "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49" {
		t.Errorf("got %q", got)
	}
}

// The job that Run starts notes each of its lives, and says what it says once
// in each.
func TestScriptOfAJob(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		out := runScript(t, script(2, dir, "id"))
		if out != "1\n2\n" {
			t.Errorf("it said %q", out)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, jobFile("id")))
	if err != nil || string(text) != "run\nrun\n" {
		t.Errorf("on the disk: %q, %v", text, err)
	}
	if out := runScript(t, script(2, filepath.Join(dir, "none"), "id")); out != "" {
		t.Errorf("without a disk it said %q", out)
	}
}

func TestAudit(t *testing.T) {
	const n, m = api.NodeID("020000000001"), api.NodeID("020000000002")
	as := func(id api.NodeID) string {
		return api.Identity{Grid: "t.lab", Role: api.RoleNode, Name: string(id)}.String()
	}
	admin := api.Identity{Grid: "t.lab", Role: api.RoleOperator, Name: "admin.first"}.String()
	entries := []api.AuditEntry{
		{Actor: as(n), Action: "unlock", Node: n, Decision: "granted", Reason: enrol.ReasonEnrolled},
		{Actor: as(n), Action: "certificate", Node: n, Decision: "granted", Reason: enrol.ReasonCertificate},
		{Actor: "10.0.0.9:4711", Action: "unlock", Node: m, Decision: "refused", Reason: enrol.ReasonNew},
		{Actor: as(m), Action: "unlock", Node: m, Decision: "granted", Reason: enrol.ReasonUnlocked}, // while it waits
		{Actor: admin, Action: "approve", Node: m, Decision: "granted"},
		{Actor: as(m), Action: "unlock", Node: m, Decision: "granted", Reason: enrol.ReasonUnlocked},
		{Actor: as(m), Action: "unlock", Node: m, Decision: "refused", Reason: enrol.ReasonOtherKey}, // a thief: says nothing of the record
		{Actor: as(m), Action: "confirm", Node: n, Decision: "granted"},
		{Actor: as(n), Action: "unlock", Node: n, Decision: "refused", Reason: enrol.ReasonRollback},
		{Actor: "10.0.0.9:4711", Action: "unlock", Node: n, Decision: "granted", Reason: enrol.ReasonUnlocked},
		{Actor: admin, Action: "retire", Node: m, Decision: "granted"},
		{Actor: as(m), Action: "unlock", Node: m, Decision: "granted", Reason: enrol.ReasonUnlocked},
	}
	for i := range entries {
		entries[i].Seq = uint64(10 + 2*i)
	}
	var a audit
	at := func(time.Time) time.Duration { return 7 }
	releases, acts := a.read(entries[:5], at)
	again, more := a.read(entries[3:], at) // what was read is not read again
	var got []string
	for _, r := range append(releases, again...) {
		got = append(got, fmt.Sprint(r.Node[11:], " ", r.State, " ", r.Proved))
	}
	want := "1 enrolled true; 2 pending true; 2 enrolled true; 1 pending false; 2 retired true"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("releases\ngot  %s\nwant %s", s, want)
	}
	got = nil
	for _, x := range append(acts, more...) {
		if x.Node != x.For {
			got = append(got, x.Node+" "+x.What+" "+x.For)
		}
	}
	if s := strings.Join(got, "; "); s != string(m)+" confirm "+string(n)+"; 10.0.0.9:4711 unlock "+string(n) {
		t.Errorf("acts for others: %s", s)
	}
}

func TestMerge(t *testing.T) {
	m := merge([]grid.Measured{{How: "a", Percent: 10, Packets: 1000}, {How: "b", Percent: 11, Packets: 1000}})
	if m.How != "a; b" || m.Percent != 10 || m.Packets != 2000 {
		t.Errorf("got %+v", m)
	}
	if merge(nil).How != "" {
		t.Error("nothing says something")
	}
}

func runScript(t *testing.T, argv []string) string {
	t.Helper()
	out, _ := exec.CommandContext(t.Context(), argv[0], argv[1:]...).Output() // what it said counts, not how it ended
	return string(out)
}
