package real

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/fault"
	"github.com/g8os/g8os/lab/grid"
)

func parse(t *testing.T, text string) fault.Fault {
	t.Helper()
	f, err := fault.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// with is a ledger with faults in force, f1 first.
func with(t *testing.T, texts ...string) ledger {
	t.Helper()
	var l ledger
	for i, text := range texts {
		e := l.add(parse(t, text), time.Duration(i))
		e.InForce = e.Asked + 1
		l.put(e)
	}
	return l
}

func TestLedger(t *testing.T) {
	l := with(t, "kill on=a", "kill on=b", "kill on=a")
	e, err := l.find("f2")
	if err != nil || e.Fault.On != "b" {
		t.Fatalf("find f2: %v, %v", e, err)
	}
	if l.end(e, 9).Healed != 9 || l.has(fault.Kill, "b") || !l.has(fault.Kill, "a") {
		t.Errorf("after the end of f2: %v", l.Faults)
	}
	if _, err := l.find("f2"); !errors.Is(err, grid.ErrNoFault) || !strings.HasSuffix(err.Error(), "there are f1, f3") {
		t.Errorf("find what has ended: %v", err)
	}
	first, _ := l.find("f1")
	l.take("f1")
	l.restore(first)
	if ids(l.Faults) != "f1, f3" {
		t.Errorf("restored: %s", ids(l.Faults))
	}
	if next := l.add(parse(t, "kill on=c"), 10); next.ID != "f4" {
		t.Errorf("the next number after f3 is %s", next.ID)
	}
	if !l.knew("f2") || !l.knew("f1") || l.knew("f4") || !l.saw("f2") || l.saw("f1") {
		t.Error("what was known and seen is wrong")
	}
	for range 2 * keepEnded {
		l.end(e, 1)
	}
	if len(l.Ended) != keepEnded {
		t.Errorf("%d that have ended are remembered", len(l.Ended))
	}
}

func TestWhatEndsByItself(t *testing.T) {
	l := with(t, "kill on=a for=1m", "kill on=b", "kill on=c for=1s")
	if _, ok := l.next(); ok {
		t.Fatal("something ends without a time")
	}
	now := time.Now()
	for i := range l.Faults {
		l.Faults[i].expires()
	}
	at, ok := l.next()
	if !ok || at.Sub(now).Round(time.Second) != time.Second {
		t.Errorf("next end in %s", at.Sub(now))
	}
	if over := l.over(now.Add(30 * time.Second)); ids(over) != "f3" {
		t.Errorf("over after 30 s: %s", ids(over))
	}
}

func TestLedgerFile(t *testing.T) {
	dir := t.TempDir()
	if l, err := loadLedger(dir); err != nil || len(l.Faults) != 0 {
		t.Fatalf("no file: %v, %v", l, err)
	}
	l := with(t, "loss from=a to=b percent=10 for=5s")
	l.Owed = []debt{{"ac1", "slow"}}
	if err := l.save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := loadLedger(dir)
	if err != nil || got.Faults[0].Fault.String() != "loss from=a to=b percent=10 for=5s" || got.Owed[0] != l.Owed[0] || got.Last != 1 {
		t.Errorf("read back: %+v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, ledgerFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := loadLedger(dir); err == nil {
		t.Error("a damaged file was taken")
	}
}

func TestOneAtATime(t *testing.T) {
	dir := t.TempDir()
	held, err := lock(t.Context(), dir, ledgerLock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryLock(dir, ledgerLock); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("a second one: %v", err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := lock(soon, dir, ledgerLock); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one that waits: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	next, err := lock(t.Context(), dir, ledgerLock)
	if err != nil {
		t.Fatal(err)
	}
	_ = next.Close()
	if _, err := lock(t.Context(), filepath.Join(dir, "gone"), ledgerLock); !errors.Is(err, lab.ErrNoLab) {
		t.Errorf("of a lab that is down: %v", err)
	}
}

// Whatever overlaps, the state of a thing follows from the faults in force.
func TestOverlaps(t *testing.T) {
	for _, tt := range []struct {
		faults string
		want   string
	}{
		{"", ""},
		{"dhcp-silent on=s", "silent"},
		{"dhcp-silent on=s; dhcp-slow on=s delay=3s", "slow 3s"},
		{"dhcp-in-use on=s address=192.168.8.2", "in-use 192.168.8.2"},
		{"dhcp-silent on=other", ""},
		{"dhcp-foreign on=s", behindForeign},
		{"dhcp-nak on=s; dhcp-foreign on=s", "nak"},
		{"dhcp-foreign on=s; dhcp-wrong-subnet on=s", "wrong-subnet"},
		{"squatter on=s address=192.168.8.9", ""},
	} {
		l := with(t, split(tt.faults)...)
		if got := l.dhcpMode("s"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.faults, got, tt.want)
		}
	}
	l := with(t, "loss from=a to=b percent=10", "delay from=b to=a both delay=20ms", "partition from=a to=b", "loss from=a percent=50")
	sum, err := l.spec(pair{"a", "b"})
	if err != nil || sum.Loss != 10 || sum.Delay != 20*time.Millisecond {
		t.Errorf("a to b: %+v, %v", sum, err)
	}
	if sum, err = l.spec(pair{"b", "a"}); err != nil || sum.Loss != 0 || sum.Delay != 20*time.Millisecond {
		t.Errorf("b to a: %+v, %v", sum, err)
	}
	l = with(t, "ac-pause on=ac1", "slow", "outage on=ac2")
	l.Owed = []debt{{"ac1", "wrong-ca"}, {"ac2", "slow"}, {"ac1", "slow"}}
	if got := strings.Join(l.mayDiffer("ac1"), " "); got != "slow wrong-ca" || !l.mute("ac1") || l.mute("ac2") {
		t.Errorf("to be asked of ac1: %s", got)
	}
}

func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "; ")
}

// Every kind that a real grid has is carried out by what is made for it.
func TestEveryKindIsCarriedOut(t *testing.T) {
	for _, k := range fault.Kinds() {
		_, notHere := k.Not["netns"]
		_, norThere := k.Not["vm"]
		_, own := settlers[k.Name]
		general := k.Class == fault.Link || strings.HasPrefix(k.Name, "dhcp-") || fault.Armed(k.Name)
		if !own && !general && !(notHere && norThere) {
			t.Errorf("%s: nothing carries it out; say in lab/fault why not", k.Name)
		}
	}
}

func TestServerArgs(t *testing.T) {
	l := with(t, "dhcp-silent on=dhcp")
	plan := plan(t)
	got := strings.Join(serverArgs(plan.DHCP[0].Ports[0].Address.String(), *plan.DHCP[0].DHCP, l.dhcpMode("dhcp")), " ")
	want := "--server 192.168.8.1/24 --pool 192.168.8.10-192.168.8.250 --lease 10m0s --mode silent --router 192.168.8.254 --dns 192.168.8.53"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !netip.MustParsePrefix("192.168.8.1/24").Contains(plan.DHCP[0].DHCP.First) {
		t.Error("the plan is not what the test thinks")
	}
}
