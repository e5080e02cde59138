package services

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/process"
	"github.com/g8os/g8os/core/services/order"
)

func mkfifo(path string) error { return syscall.Mkfifo(path, 0o600) }

// killLeft ends what a test has let run away, by the pid in a file.
func killLeft(path string) {
	raw, _ := os.ReadFile(path)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(raw))); err == nil && pid > 1 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// A core that is left, and one that is killed, are the same to its services.
func TestAnotherCoreGoesOnWithThem(t *testing.T) {
	p := newPlace(t)
	text := `[service.web]
command = "echo began; while :; do read x < DIR/gate || continue; echo got $x; [ $x != end ] || exit 6; done"
ready = { output = "began" }
after = ["once"]
backoff = { min = "1h", max = "1h" }
[service.once]
command = "echo once >> DIR/trail"
oneshot = true
[service.dies]
command = "read x < DIR/gate2; exit 9"
restart = "never"
`
	for _, gate := range []string{"gate", "gate2"} {
		if err := mkfifo(p.path(gate)); err != nil {
			t.Fatal(err)
		}
	}
	s := p.supervisor()
	s.Declare(p.declared(text))
	before := until(t, s, "web", runs)
	until(t, s, "once", is(order.Done))
	dies := until(t, s, "dies", runs)
	s.Leave()

	write(t, p.path("gate"), "one\n")
	id, err := process.Identify(dies.PID)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p.path("gate2"), "x\n")
	for id.Alive() { // it dies while there is no core
		time.Sleep(time.Millisecond)
	}
	next := p.run(text)
	after := until(t, next, "web", is(order.Ready))
	if after.PID != before.PID || before.PID == 0 {
		t.Errorf("pid %d, before %d", after.PID, before.PID)
	}
	if st := until(t, next, "dies", is(order.Failed)); st.Last.Code != 9 {
		t.Errorf("%+v", st.Last)
	}
	until(t, next, "once", is(order.Done))
	write(t, p.path("gate"), "end\n")
	if st := until(t, next, "web", is(order.Resting)); st.Last.Code != 6 || !st.Last.Known {
		t.Errorf("%+v", st.Last)
	}
	if raw, _ := os.ReadFile(p.path("log/web.log")); string(raw) != "began\ngot one\ngot end\n" {
		t.Errorf("its log: %q", raw)
	}
	if raw, _ := os.ReadFile(p.path("trail")); string(raw) != "once\n" {
		t.Errorf("the oneshot ran: %q", raw)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0); err != nil {
		t.Fatal(err)
	}
}

func TestWhatChangedIsStartedAnewAndWhatIsGoneEnds(t *testing.T) {
	p := newPlace(t)
	s := p.run("[service.a]\ncommand = \"exec sleep 60\"\n[service.b]\ncommand = \"exec sleep 60\"\n[service.c]\ncommand = \"exec sleep 60\"\n")
	was := map[string]int{}
	for _, name := range []string{"a", "b", "c"} {
		was[name] = until(t, s, name, runs).PID
	}
	s.Declare(p.declared("[service.a]\ncommand = \"exec sleep 60\"\n[service.b]\ncommand = \"exec sleep 61\"\n"))
	until(t, s, "b", func(st api.ServiceState) bool { return st.State == "ready" && st.PID != was["b"] && st.PID != 0 })
	if st := until(t, s, "a", is(order.Ready)); st.PID != was["a"] {
		t.Errorf("a was started anew")
	}
	gone(t, was["c"])
}

// runs is true of one whose program has begun.
func runs(st api.ServiceState) bool { return st.State == "ready" && st.PID != 0 }

// gone waits until a process is.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if _, err := process.Identify(pid); err != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

func TestWhatIsDeclaredNoMoreEndsAlsoWhenThatWasWhileNoCoreRan(t *testing.T) {
	p := newPlace(t)
	s := p.supervisor()
	s.Declare(p.declared("[service.a]\ncommand = \"exec sleep 60\"\n[service.b]\ncommand = \"exec sleep 60\"\n"))
	a, b := until(t, s, "a", runs), until(t, s, "b", runs)
	s.Leave()
	next := p.supervisor()
	next.Declare(nil, "b") // whose declaration cannot be read
	gone(t, a.PID)
	if _, err := process.Identify(b.PID); err != nil {
		t.Errorf("b has ended: %v", err)
	}
	next.Leave()
	last := p.supervisor()
	last.Declare(nil)
	gone(t, b.PID)
}
