package preflight

import (
	"strings"
	"testing"
)

func TestEnough(t *testing.T) {
	if err := enough(6, 440); err != nil {
		t.Error(err)
	}
	err := enough(100, 1000)
	want := "100 nodes take about 4200 MiB of memory, 1000 MiB are free; 20 nodes would fit (--nodes 20)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAvailable(t *testing.T) {
	if got := available("MemTotal: 24683000 kB\nMemFree: 1 kB\nMemAvailable:   24380000 kB\n"); got != 23808 {
		t.Errorf("got %d", got)
	}
	if got := available("garbage"); got != 0 {
		t.Errorf("got %d out of garbage", got)
	}
}

func TestMissingTools(t *testing.T) {
	err := checkTools(func(program string) bool { return !strings.HasPrefix(program, "ovs") && program != "dnsmasq" })
	want := "missing: ovsdb-tool, ovsdb-server, ovs-vswitchd, ovs-vsctl, ovs-ofctl, dnsmasq; " +
		"install openvswitch-common openvswitch-switch dnsmasq-base (ci/install run does it, and so does make lab-up)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestCheckHere(t *testing.T) {
	if err := Check(1); err != nil {
		t.Error(err)
	}
}
