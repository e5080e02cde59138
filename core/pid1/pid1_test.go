package pid1

import (
	"errors"
	"net"
	"testing"
	"time"
)

func TestIs(t *testing.T) {
	for _, c := range []struct {
		pid   int
		argv0 string
		want  bool
	}{{1, "/init", true}, {1, "init", true}, {1, "/usr/bin/g8os_core", false}, {7, "/init", false}} {
		if Is(c.pid, c.argv0) != c.want {
			t.Errorf("%+v", c)
		}
	}
}

func TestName(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0x0a, 0x0b, 0x0c}
	for _, c := range []struct {
		said, argument, file string
		mac                  net.HardwareAddr
		want                 string
	}{
		{"go", "arg", "file", mac, "go"},
		{"", "arg", "file", mac, "arg"},
		{"", "", "file", mac, "file"},
		{"", "", "no name\x1b", mac, "g8os-0a0b0c"},
		{"", "", "", nil, "g8os"},
	} {
		if got := Name(c.said, c.argument, c.file, c.mac); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestFirstMAC(t *testing.T) {
	mac := func(b byte) net.HardwareAddr { return net.HardwareAddr{0x52, 0x54, 0, 0, 0, b} }
	all := []net.Interface{
		{Index: 3, HardwareAddr: mac(3)}, {Index: 2, HardwareAddr: mac(2)},
		{Index: 1, Flags: net.FlagLoopback, HardwareAddr: mac(1)}, {Index: 0, HardwareAddr: make([]byte, 20)},
	}
	if got := firstMAC(all); got.String() != mac(2).String() {
		t.Error(got)
	}
	if got := firstMAC(nil); got != nil {
		t.Error(got)
	}
}

// A machine is let go once; a go that could not be performed changes nothing.
func TestGate(t *testing.T) {
	g, broken := newGate(true), errors.New("no entropy")
	if err := g.pass(func() error { return broken }); !errors.Is(err, broken) || !g.isHeld() {
		t.Fatal(err)
	}
	select {
	case <-g.open:
		t.Fatal("open after a go that failed")
	default:
	}
	if err := g.pass(func() error { return nil }); err != nil || g.isHeld() {
		t.Fatal(err)
	}
	<-g.open
	if err := g.pass(func() error { t.Error("performed twice"); return nil }); !errors.Is(err, ErrNotHeld) {
		t.Error(err)
	}
	<-newGate(false).open
}

func TestPhaseLine(t *testing.T) {
	for line, want := range map[string]string{
		`time=x level=INFO msg=phase phase=unlock way=dhcp`: "unlock way=dhcp",
		`time=x level=INFO msg="phase of moon" a=b`:         "",
		"": "",
	} {
		if got, _ := phaseLine(line); got != want {
			t.Errorf("%q: %q", line, got)
		}
	}
}

func TestTimesThatTheKernelTakes(t *testing.T) {
	for _, c := range []struct{ asked, want time.Time }{
		{time.Unix(0, 0), time.Unix(41, 0)},
		{time.Unix(-5, 0), time.Unix(41, 0)},
		{time.Unix(42, 0), time.Unix(42, 0)},
		{time.Unix(1<<40, 0), time.Unix(1<<40, 0)},
	} {
		if got := settable(c.asked, 40*time.Second); !got.Equal(c.want) {
			t.Errorf("settable(%v) = %v, want %v", c.asked, got, c.want)
		}
	}
}
