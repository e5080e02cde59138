package lab_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/lab"
	"github.com/g8os/g8os/lab/record"
	"github.com/g8os/g8os/lab/topology"
)

const small = `
segments:
  - {name: office, subnet: 192.168.7.0/24}
  - name: dhcp
    subnet: 192.168.8.0/24
    dhcp: {first: 192.168.8.100, last: 192.168.8.200, lease: 2m}
acs:
  - name: ac1
    legs:
      - {segment: office, address: 192.168.7.2}
      - {segment: dhcp, address: 192.168.8.2}
nodes:
  - {name: office, count: 2, nics: [{segment: office, method: static}]}
`

// name gives every test a lab of its own, also beside another run of the tests.
func name(suffix string) string { return fmt.Sprintf("t%d-%s", os.Getpid(), suffix) }

func parse(t testing.TB, text string) *topology.Topology {
	t.Helper()
	top, err := topology.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return top
}

func up(t *testing.T, ctx context.Context, text, name string) *lab.Lab {
	t.Helper()
	before := snapshot(t)
	t.Cleanup(func() {
		if err := lab.Down(context.WithoutCancel(ctx), name, lab.DownOptions{}); err != nil {
			t.Error(err)
		}
		before.compare(t, name)
	})
	l, err := lab.Up(ctx, parse(t, text), lab.Options{Name: name, BinDir: standIns(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.WaitManaged(ctx); err != nil {
		t.Fatal(err)
	}
	return l
}

// host is what the lab must leave alone.
type host map[string]string

func snapshot(t *testing.T) host {
	t.Helper()
	h := host{}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	h["mounts"] = string(mounts)
	for _, what := range []string{"-br link", "-br address", "route show table all"} {
		out, err := exec.Command("ip", strings.Fields(what)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		h[what] = string(out)
	}
	return h
}

func (h host) compare(t *testing.T, name string) {
	t.Helper()
	for f, now := range snapshot(t) {
		if now != h[f] {
			t.Errorf("%s is not as before:\n%s\nwas:\n%s", f, now, h[f])
		}
	}
	for _, path := range []string{record.RunRoot + "/" + name, record.DataRoot + "/" + name, record.RunRoot + "/" + name + ".lock",
		"/run/g8os/contexts/" + name + ".toml"} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	left := processes(t, name)
	for range 1000 { // a tool of a builder that was killed is told by the kernel, and needs its time to die
		if len(left) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
		left = processes(t, name)
	}
	t.Errorf("processes left: %v", left)
}

// processes lists those that have the lab's name in their command line,
// zombies and this test aside.
func processes(t *testing.T, name string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, f := range files {
		text, _ := os.ReadFile(f)
		if strings.Contains(string(text), name) {
			left = append(left, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return left
}

func TestLifeOfALab(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	l := up(t, ctx, small, name("life"))

	t.Run("nodes reach each other and the AC", func(t *testing.T) {
		for _, to := range []string{"192.168.7.2", "192.168.7.11"} {
			ping(t, ctx, l.Node("office-1"), to, true)
		}
	})
	t.Run("a node is a machine of its own", func(t *testing.T) {
		r, err := l.Node("office-1").Exec(ctx, "sh", "-c", "hostname; cat /etc/hostname; ls /sys/class/net; ls /proc | grep -c '^[0-9]'; ls /etc/g8os; echo x >&2; exit 7")
		if err != nil || r.Code != 7 || r.Stderr != "x\n" {
			t.Fatalf("%v %+v", err, r)
		}
		for _, want := range []string{"office-1\noffice-1\n", "eth0\nlo\n", "ca.pem\nnet.toml\n"} {
			if !strings.Contains(r.Stdout, want) {
				t.Errorf("want %q in %q", want, r.Stdout)
			}
		}
	})
	t.Run("up again completes what is missing", func(t *testing.T) {
		n := l.Node("office-2")
		before, err := l.Node("office-1").Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.KillCore(ctx, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		again, err := lab.Up(ctx, parse(t, small), lab.Options{Name: l.Name(), BinDir: standIns(t)})
		if err != nil {
			t.Fatal(err)
		}
		if err := again.WaitManaged(ctx); err != nil {
			t.Fatal(err)
		}
		if after, err := again.Node("office-1").Status(ctx); err != nil || after.PID != before.PID {
			t.Errorf("the node that was well was restarted: %v, process %d, was %d", err, after.PID, before.PID)
		}
		if _, err := lab.Up(ctx, parse(t, strings.Replace(small, "count: 2", "count: 3", 1)), lab.Options{Name: l.Name(), BinDir: standIns(t)}); err == nil ||
			!strings.Contains(err.Error(), "another topology") {
			t.Errorf("up with another topology: %v", err)
		}
	})
	t.Run("power cut and back", func(t *testing.T) {
		n := l.Node("office-1")
		if err := os.WriteFile(filepath.Join(n.Disk(), "mark"), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := n.PowerCut(ctx); err != nil {
			t.Fatal(err)
		}
		if r := l.Status(ctx); r.Nodes[0].Phase != "off" {
			t.Errorf("phase %q after a power cut", r.Nodes[0].Phase)
		}
		if err := n.PowerOn(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := n.WaitManaged(ctx); err != nil {
			t.Fatal(err)
		}
		ping(t, ctx, n, "192.168.7.2", true)
		if r, err := n.Exec(ctx, "cat", "/etc/g8os/mark"); err != nil || r.Stdout != "x" {
			t.Errorf("the disk was lost: %v %+v", err, r)
		}
	})
	t.Run("cable pull", func(t *testing.T) {
		n := l.Node("office-1")
		for _, on := range []bool{false, true} {
			if err := n.SetCarrier(ctx, 0, on); err != nil {
				t.Fatal(err)
			}
			want := map[bool]string{false: "0\n", true: "1\n"}[on]
			if r, err := n.Exec(ctx, "cat", "/sys/class/net/eth0/carrier"); err != nil || r.Stdout != want {
				t.Errorf("carrier %v: %v %+v", on, err, r)
			}
			ping(t, ctx, n, "192.168.7.2", on)
		}
	})
	t.Run("cuts", func(t *testing.T) {
		s := l.Segment("office")
		a, b := l.Node("office-1"), l.Node("office-2")
		ping(t, ctx, a, "192.168.7.11", true)
		if err := s.Cut(ctx, lab.Cut{From: "office-1", To: "office-2"}); err != nil {
			t.Fatal(err)
		}
		ping(t, ctx, a, "192.168.7.11", false)
		ping(t, ctx, a, "192.168.7.2", true)
		if err := s.Isolate(ctx, "office-2"); err != nil {
			t.Fatal(err)
		}
		ping(t, ctx, b, "192.168.7.2", false)
		if err := s.Heal(ctx); err != nil {
			t.Fatal(err)
		}
		ping(t, ctx, a, "192.168.7.11", true)
		if err := s.Cut(ctx, lab.Cut{From: "office-9"}); err == nil {
			t.Error("cut off a node that does not exist")
		}
	})
	t.Run("capture", func(t *testing.T) { testCapture(t, ctx, l) })
	t.Run("hosts and DHCP", func(t *testing.T) { testHost(t, ctx, l) })
	t.Run("the AC keeps its port", func(t *testing.T) { testAC(t, ctx, l) })
}

// ping asks until it is answered, where it must be: the first packet may find a
// switch that does not know the way yet. Where it must not be, it asks once.
func ping(t *testing.T, ctx context.Context, from *lab.Node, to string, want bool) {
	t.Helper()
	patience := map[bool][]string{true: {"-c1", "-w30", "-i0.2"}, false: {"-c1", "-W1"}}[want]
	r, err := from.Exec(ctx, append(append([]string{"ping"}, patience...), to)...)
	if err != nil || (r.Code == 0) != want {
		t.Errorf("%s: ping %s: want %v, got %v %+v", from.Name(), to, want, err, r)
	}
}
