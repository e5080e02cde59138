package jobs

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/jobs/run"
	"github.com/g8os/g8os/core/jobs/spool"
)

// A g8os_core that can be killed is this test once more, told so by a variable.
const coreVariable = "G8OS_TEST_CORE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(coreVariable); dir != "" {
		coreMain(dir, os.Getenv(coreVariable+"_DIES"))
		return
	}
	os.Exit(m.Run())
}

// coreMain has jobs, takes frames of an AC from stdin, and says its own on stdout.
// It kills itself when it comes to a step for the nth time, "STEP/N".
func coreMain(dir, dies string) {
	at, nth, _ := strings.Cut(dies, "/")
	var times atomic.Int64
	step = func(s string) {
		if s == at && fmt.Sprint(times.Add(1)) == nth {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	j := New(Options{Spool: filepath.Join(dir, "spool"), RunDir: filepath.Join(dir, "run"), Log: log})
	if err := j.Open(make([]byte, spool.KeySize)); err != nil {
		log.Error("open", "error", err)
		os.Exit(1)
	}
	session := j.Attach()
	go func() {
		out := json.NewEncoder(os.Stdout)
		for {
			f, ok := j.Take(session, nil)
			if !ok || out.Encode(f) != nil {
				return
			}
		}
	}()
	in := json.NewDecoder(os.Stdin)
	for {
		var f api.Frame
		if err := in.Decode(&f); err != nil {
			j.Leave()
			return
		}
		switch f.Type {
		case api.FrameExec:
			j.Start(f.Job, *f.Exec, f.Seq, f.State == api.JobRunning)
		case api.FrameAck:
			j.Ack(f.Job, f.Seq)
		case api.FrameCancel:
			j.Cancel(f.Job)
		}
	}
}

// controller is the AC of a test: what it was told is safe.
type controller struct {
	t       *testing.T
	dir     string
	last    uint64
	began   bool
	text    string
	exits   []api.Frame
	gaps    int
	mute    bool // acknowledges nothing
	dropped int64
}

// life runs a g8os_core until it dies, or the job has ended there, or done says
// so; then it is killed or, with leave, ends by itself.
func (c *controller) life(req api.ExecRequest, dies string, done func() bool) {
	c.t.Helper()
	core := exec.Command(os.Args[0])
	core.Env = append(os.Environ(), coreVariable+"="+c.dir, coreVariable+"_DIES="+dies)
	core.Stderr = os.Stderr
	in, _ := core.StdinPipe()
	out, err := core.StdoutPipe()
	if err == nil {
		err = core.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	limit := time.AfterFunc(time.Minute, func() { _ = core.Process.Kill() })
	defer limit.Stop()
	say := func(f api.Frame) {
		b, _ := json.Marshal(f)
		_, _ = in.Write(append(b, '\n')) // it may be dead
	}
	state := api.JobState("")
	if c.began {
		state = api.JobRunning
	}
	say(api.Frame{Type: api.FrameExec, Job: "j", Seq: c.last, State: state, Exec: &req})
	lines := bufio.NewReader(out)
	for !done() {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var f api.Frame
		if err := json.Unmarshal(line, &f); err != nil {
			c.t.Fatal(err)
		}
		c.take(f)
		if !c.mute && f.Seq > 0 {
			say(api.Frame{Type: api.FrameAck, Job: "j", Seq: c.last})
		}
	}
	_ = core.Process.Kill()
	_, _ = io.Copy(io.Discard, lines)
	_ = core.Wait()
}

func (c *controller) take(f api.Frame) {
	switch {
	case f.Type == api.FrameStarted:
		c.began = true
		return
	case f.Seq <= c.last:
		return
	case f.Seq > c.last+1:
		c.gaps++
	}
	c.last, c.dropped = f.Seq, max(c.dropped, f.Dropped)
	c.text += string(f.Data)
	if f.Type == api.FrameExit {
		c.exits = append(c.exits, f)
	}
}

func (c *controller) told() bool { return len(c.exits) > 0 }

// job counts its runs, says 2000 lines in a while, and ends with 7.
func job(dir string) (req api.ExecRequest, want string) {
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	script := `echo ran >> ` + dir + `/runs; i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); [ $((i%500)) = 0 ] && sleep 0.05; done; exit 7`
	return api.ExecRequest{Argv: []string{"sh", "-c", script}}, text.String()
}

// g8os_core is killed in each step of a job's life: the job runs once, its exit
// code is told, once, and what it said is whole.
func TestKilledInEachStep(t *testing.T) {
	for _, dies := range []string{
		"handed out/1", "begun/1", "started/1", "said/1", "said and kept/1", "said/2", "said and kept/3", "ended/1", "end kept/1",
	} {
		t.Run(strings.ReplaceAll(dies, "/", "_"), func(t *testing.T) {
			t.Parallel()
			c := &controller{t: t, dir: t.TempDir()}
			req, want := job(c.dir)
			for n := 0; !c.told() && n < 10; n++ {
				c.life(req, dies, c.told)
				dies = ""
			}
			c.check(want, 7)
		})
	}
}

// It is killed again and again, at moments that only the clock knows.
func TestKilledOften(t *testing.T) {
	c := &controller{t: t, dir: t.TempDir()}
	req, want := job(c.dir)
	for n := 0; !c.told() && n < 100; n++ {
		until := time.Now().Add(time.Duration(n*7%40) * time.Millisecond)
		last := c.last
		c.life(req, "", func() bool { return c.told() || time.Now().After(until) && c.last > last })
	}
	c.check(want, 7)
}

// The job ends while nobody is there, and the AC acknowledges nothing for a while.
func TestEndsWhileNobodyIsThere(t *testing.T) {
	c := &controller{t: t, dir: t.TempDir(), mute: true}
	req, want := job(c.dir)
	c.life(req, "", func() bool { return c.last > 0 })
	time.Sleep(time.Second) // it needs about 0.3 s
	c.last, c.text, c.exits = 0, "", nil
	c.life(req, "", c.told)
	c.check(want, 7)
	c.exits, c.mute = nil, false
	c.last = 0
	c.text = ""
	c.life(req, "", c.told)
	if len(c.exits) != 1 || !c.exits[0].Again {
		t.Errorf("asked once more after a crash: %+v", c.exits)
	}
}

func (c *controller) check(want string, code int) {
	c.t.Helper()
	if len(c.exits) != 1 || c.exits[0].Code != code || c.exits[0].State != api.JobError {
		c.t.Errorf("it was told %d times that it ended: %+v", len(c.exits), c.exits)
	}
	if runs, _ := os.ReadFile(filepath.Join(c.dir, "runs")); string(runs) != "ran\n" {
		c.t.Errorf("it ran %d times", strings.Count(string(runs), "\n"))
	}
	if c.text != want || c.gaps > 0 || c.dropped > 0 {
		c.t.Errorf("%d bytes came of %d, %d gaps, %d dropped; they differ from byte %d on", len(c.text), len(want), c.gaps, c.dropped, differ(c.text, want))
	}
}

func differ(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// A program that is left for good ends with all that it has started, and one
// whose time is over while nobody is there is stopped by the next g8os_core.
func TestLeftPrograms(t *testing.T) {
	c := &controller{t: t, dir: t.TempDir()}
	req := api.ExecRequest{Argv: []string{"sh", "-c", "sleep 600 & echo $!; wait"}, TimeoutMS: 1500}
	c.life(req, "", func() bool { return c.text != "" })
	time.Sleep(1500 * time.Millisecond) // its time is over now
	c.life(req, "", c.told)
	if len(c.exits) != 1 || c.exits[0].State != api.JobTimeout {
		t.Errorf("it should have been stopped: %+v", c.exits)
	}

	c = &controller{t: t, dir: t.TempDir()}
	req.TimeoutMS = 0
	c.life(req, "", func() bool { return c.text != "" })
	pid, err := strconv.Atoi(strings.TrimSpace(c.text))
	if err != nil {
		t.Fatal(err)
	}
	programs := run.New(run.Options{Dir: filepath.Join(c.dir, "run"), Log: discard})
	if err := programs.End("j"); err != nil || len(programs.Left()) > 0 {
		t.Errorf("%v, left are %v", err, programs.Left())
	}
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(time.Millisecond) { // it was told to end
		if time.Now().After(deadline) {
			t.Fatalf("process %d goes on", pid)
		}
	}
}
