package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/pid1/reap"
)

// ran is what became of a job in a test.
type ran struct {
	stdout, stderr string
	pieces         int
	exit           api.Frame
}

// result runs a job to its end, and acknowledges what it says.
func result(t *testing.T, j *Jobs, id string, req api.ExecRequest) (r ran) {
	t.Helper()
	session := j.Attach()
	j.Start(id, req, 0, false)
	return follow(t, j, session, id)
}

func follow(t *testing.T, j *Jobs, session int, id string) (r ran) {
	t.Helper()
	var stdout, stderr strings.Builder
	for {
		f, ok := take(j, session)
		if !ok {
			t.Fatal("the session's turn is over")
		}
		if f.Job != id {
			continue
		}
		j.Ack(id, f.Seq)
		switch {
		case f.Type == api.FrameExit:
			r.exit, r.stdout, r.stderr = f, stdout.String(), stderr.String()
			return r
		case f.Stream == "stdout":
			stdout.Write(f.Data)
		default:
			stderr.Write(f.Data)
		}
		r.pieces++
	}
}

func sh(script string) api.ExecRequest { return api.ExecRequest{Argv: []string{"sh", "-c", script}} }

func TestEnds(t *testing.T) {
	runs := t.TempDir()
	if err := os.Chmod(filepath.Dir(runs), 0o711); err != nil { // as /run is
		t.Fatal(err)
	}
	j := opened(t, Options{RunDir: runs, Env: func() []string { return []string{"G8OS_NODE=n", "G8OS_GRID=g"} }})
	big := strings.Repeat("0123456789abcdef", 200_000/16)
	odd, closed := filepath.Join(t.TempDir(), "it's $HOME"), t.TempDir()
	if err := errors.Join(os.Mkdir(odd, 0o755), os.Chmod(closed, 0o700)); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		name  string
		req   api.ExecRequest
		state api.JobState
		code  int
		out   string
		why   string
	}{
		{"success", sh("echo a"), api.JobSuccess, 0, "a\n", ""},
		{"error", sh("exit 3"), api.JobError, 3, "", ""},
		{"signal", sh("kill -SEGV $$"), api.JobKilled, 128 + 11, "", ""},
		{"killed", sh("kill -KILL $$"), api.JobKilled, 128 + 9, "", ""},
		{"timeout", api.ExecRequest{Argv: []string{"sleep", "60"}, TimeoutMS: 200}, api.JobTimeout, 143, "", "longer than its timeout"},
		{"its shell is killed", sh("kill -KILL $PPID"), api.JobKilled, 128 + 9, "", "killed together"},
		{"not found", api.ExecRequest{Argv: []string{"no-such-command"}}, api.JobError, 127, "", "was not found"},
		{"not executable", api.ExecRequest{Argv: []string{"/etc/passwd"}}, api.JobError, 126, "", "is not executable"},
		{"a folder", api.ExecRequest{Argv: []string{"/etc"}}, api.JobError, 126, "", "is a folder"},
		{"no folder", api.ExecRequest{Argv: []string{"true"}, Dir: "/nonexistent"}, api.JobError, 126, "", "no such folder"},
		{"no user", api.ExecRequest{Argv: []string{"true"}, User: "nobody-here"}, api.JobError, 126, "", "no such user"},
		{"nothing", api.ExecRequest{}, api.JobError, 126, "", "empty"},
		{"a shell's word", api.ExecRequest{Argv: []string{"exit", "3"}}, api.JobError, 127, "", "was not found"},
		{"user", api.ExecRequest{Argv: []string{"id", "-un"}, User: "nobody"}, api.JobSuccess, 0, "nobody\n", ""},
		{"user by number", api.ExecRequest{Argv: []string{"id", "-u"}, User: "65534"}, api.JobSuccess, 0, "65534\n", ""},
		{"home of the user", api.ExecRequest{Argv: []string{"sh", "-c", "echo $HOME $USER"}, User: "nobody"}, api.JobSuccess, 0, "/nonexistent nobody\n", ""},
		{"folder", api.ExecRequest{Argv: []string{"pwd"}, Dir: "/usr"}, api.JobSuccess, 0, "/usr\n", ""},
		{"stdin", api.ExecRequest{Argv: []string{"wc", "-c"}, Stdin: []byte(big)}, api.JobSuccess, 0, "200000\n", ""},
		{"no stdin", sh("cat"), api.JobSuccess, 0, "", ""},
		{"script", api.ExecRequest{Script: []byte("echo $# $1"), Argv: []string{"x y"}}, api.JobSuccess, 0, "1 x y\n", ""},
		{"script by another", api.ExecRequest{Script: []byte("#!/bin/sed -n p\nxyz\n"), Argv: []string{"/dev/null"}}, api.JobError, 1, "", ""},
		{"script of a user", api.ExecRequest{Script: []byte("#!/bin/sh\nid -un; cat $0 | wc -l"), User: "nobody"}, api.JobSuccess, 0, "nobody\n1\n", ""},
		{"script by nothing", api.ExecRequest{Script: []byte("#!\n")}, api.JobError, 126, "", "names no program"},
		{"script by what is not there", api.ExecRequest{Script: []byte("#!/no/such\n")}, api.JobError, 127, "", "was not found"},
		{"environment", api.ExecRequest{Argv: []string{"sh", "-c", `echo "$HOME $G8OS_NODE $G8OS_GRID $A ${PATH:+path}"`}, Env: map[string]string{"A": "b c"}}, api.JobSuccess, 0, "/root n g b c path\n", ""},
		{"variables of any name", api.ExecRequest{
			Argv: []string{"printenv", "A-B", "IFS", "UID", "c", "g8os_t", "t", "w"},
			Env:  map[string]string{"t": "1", "w": "it's", "c": "", "A-B": "$x", "UID": "7", "g8os_t": "1", "IFS": "o"},
		}, api.JobSuccess, 0, "$x\no\n7\n\n1\n1\nit's\n", ""},
		{"words as they are", api.ExecRequest{Argv: []string{"printf", "%s|", "", "a'b", "$(c)\n", "\xff", "--", "*"}}, api.JobSuccess, 0, "|a'b|$(c)\n|\xff|--|*|", ""},
		{"a zero byte", api.ExecRequest{Argv: []string{"echo", "a\x00b"}}, api.JobError, 126, "", "zero byte"},
		{"a folder with a quote", api.ExecRequest{Argv: []string{"pwd"}, Dir: odd}, api.JobSuccess, 0, odd + "\n", ""},
		{"a folder that is closed to it", api.ExecRequest{Argv: []string{"pwd"}, Dir: closed, User: "nobody"}, api.JobError, 126, "", ""},
		{"too long", api.ExecRequest{Argv: []string{"echo", strings.Repeat("x", 200_000)}}, api.JobError, 126, "", ""},
		{"binary", sh(`printf '\000\377\n\200'`), api.JobSuccess, 0, "\x00\xff\n\x80", ""}, // T22
		{"no name for a folder", sh("true"), api.JobError, 126, "", "no name"},
		{"a daemon stays behind", sh("sleep 30 & echo $!"), api.JobSuccess, 0, "", ""}, // T17
	} {
		id := fmt.Sprint("j", i)
		if c.name == "no name for a folder" {
			id = ".."
		}
		if c.req.User != "" && c.why == "" && os.Geteuid() != 0 {
			continue // only root may run as another
		}
		began := time.Now()
		r := result(t, j, id, c.req)
		if c.name == "a daemon stays behind" {
			pid, _ := strconv.Atoi(strings.TrimSpace(r.stdout))
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil || time.Since(began) > 20*time.Second {
				t.Errorf("%s: %v, after %s", c.name, err, time.Since(began))
			}
			r.stdout = ""
		}
		if r.exit.State != c.state || r.exit.Code != c.code || r.stdout != c.out && c.name != "script by another" || !strings.Contains(r.exit.Error, c.why) || c.why == "" && r.exit.Error != "" {
			t.Errorf("%s: %s, code %d, %q, stderr %q, error %q", c.name, r.exit.State, r.exit.Code, r.stdout, r.stderr, r.exit.Error)
		}
		if r.exit.Time == nil || r.exit.Time.Before(began.Add(-time.Second)) {
			t.Errorf("%s: ended at %v", c.name, r.exit.Time)
		}
	}
}

// What a program is given to read, and does not read, holds nothing up.
func TestT23StdinThatNobodyReads(t *testing.T) {
	j := opened(t, Options{})
	stdin := bytes.Repeat([]byte("x"), 1<<20) // more than a pipe holds
	for id, argv := range map[string][]string{"never": {"true"}, "later": {"sh", "-c", "exec <&-; sleep 0.2"}} {
		if r := result(t, j, id, api.ExecRequest{Argv: argv, Stdin: stdin}); r.exit.State != api.JobSuccess {
			t.Errorf("%s: %s: %s", id, r.exit.State, r.exit.Error)
		}
	}
}

// What a job has while it runs is cleared away when it has ended.
func TestNothingIsLeft(t *testing.T) {
	dir := t.TempDir()
	j := opened(t, Options{RunDir: dir})
	result(t, j, "j", api.ExecRequest{Script: []byte("sleep 0.05"), Stdin: []byte("x")})
	j.CancelAll()
	if left, _ := filepath.Glob(dir + "/j"); len(left) > 0 {
		t.Error(left)
	}
}

// Huge output takes no more than it may: it waits for an AC that takes it, and
// nothing of it is dropped.
func TestT22HugeOutput(t *testing.T) {
	j := opened(t, Options{Spool: filepath.Join(t.TempDir(), "spool")})
	const n = 24 << 20
	r := result(t, j, "j", api.ExecRequest{Argv: []string{"head", "-c", strconv.Itoa(n), "/dev/zero"}})
	if len(r.stdout) != n || r.exit.Code != 0 || r.exit.Dropped != 0 {
		t.Errorf("%d bytes of %d, %+v", len(r.stdout), n, r.exit)
	}
}

// With nobody there, output goes on into the spool, and the oldest is dropped.
func TestOutputWithNobodyThere(t *testing.T) {
	j := opened(t, Options{Spool: filepath.Join(t.TempDir(), "spool")})
	const n = 40 << 20
	j.Start("j", sh(fmt.Sprintf("head -c %d /dev/zero; echo end", n)), 0, false)
	for j.Running() > 0 {
		time.Sleep(10 * time.Millisecond)
	}
	r := follow(t, j, j.Attach(), "j")
	if got := int64(len(r.stdout)); got+r.exit.Dropped != n+4 || got < 8<<20 || got > 17<<20 || !strings.HasSuffix(r.stdout, "end\n") {
		t.Errorf("%d bytes came, %d are said to be dropped, of %d", got, r.exit.Dropped, n+4)
	}
}

// A program that writes byte by byte makes few pieces, and a line comes at once.
func TestSmallWritesAreGathered(t *testing.T) {
	j := opened(t, Options{})
	r := result(t, j, "j", sh(`i=0; while [ $i -lt 20000 ]; do printf x; i=$((i+1)); done`))
	if len(r.stdout) != 20_000 || r.pieces > 4000 {
		t.Errorf("%d bytes in %d pieces", len(r.stdout), r.pieces)
	}
	session := j.Attach()
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	j.Start("k", sh("echo up; read x <"+gate), 0, false)
	if f, _ := take(j, session); string(f.Data) != "up\n" { // it would hang
		t.Errorf("%+v", f)
	}
	if err := os.WriteFile(gate, []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
}

// A program that takes no TERM is killed, and all that it has started.
func TestATermThatIsNotTaken(t *testing.T) {
	j := opened(t, Options{})
	session := j.Attach()
	j.Start("j", sh(`trap '' TERM; sleep 60 & echo $!; wait; sleep 60`), 0, false)
	f, _ := take(j, session)
	pid, err := strconv.Atoi(strings.TrimSpace(string(f.Data)))
	if err != nil {
		t.Fatal(err)
	}
	j.Cancel("j")
	if r := follow(t, j, session, "j"); r.exit.State != api.JobKilled || r.exit.Code != 137 {
		t.Errorf("%+v", r.exit)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) && alive(pid) {
		t.Errorf("process %d goes on", pid)
	}
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

// The same id while it runs and after it has ended starts nothing.
func TestT25TheSameIDAgain(t *testing.T) {
	j := opened(t, Options{})
	file := filepath.Join(t.TempDir(), "runs")
	req := sh("echo x >> " + file + "; sleep 0.2")
	session := j.Attach()
	for range 3 {
		j.Start("j", req, 0, false)
	}
	follow(t, j, session, "j")
	j.Start("j", req, 0, false)
	if r := follow(t, j, session, "j"); !r.exit.Again {
		t.Errorf("the end of what had ended: %+v", r.exit)
	}
	if runs, _ := os.ReadFile(file); string(runs) != "x\n" {
		t.Errorf("%q", runs)
	}
}

// Levels become events, at a bounded rate; a spoofed end (T26) is plain text.
func TestEventsOfAJob(t *testing.T) {
	j := opened(t, Options{})
	j.Note(api.LevelWarning, "core", "before", nil)
	session := j.Attach()
	j.Start("j", sh(`echo 50::0; echo 7::disk nearly full; echo '9:::' >&2; echo a >&2; echo b >&2; i=0; while [ $i -lt 100 ]; do echo 8::again; i=$((i+1)); done; exit 4`), 0, false)
	var texts []string
	var exit api.Frame
	for len(texts) == 0 || !strings.Contains(strings.Join(texts, "|"), "more such lines") || exit.Type == "" {
		f, ok := take(j, session)
		if !ok {
			t.Fatal("over")
		}
		switch f.Type {
		case api.FrameEvent:
			texts = append(texts, fmt.Sprintf("%d %s %s", f.Event.Level, f.Event.Source, f.Event.Text))
			j.Ack("", f.Seq)
		case api.FrameExit:
			exit = f
		}
	}
	all := strings.Join(texts, "|")
	if len(texts) > 3*eventRate || exit.Code != 4 || !strings.Contains(all, "7 core before|") ||
		!strings.Contains(all, "7 job:j disk nearly full") || !strings.Contains(all, "9 job:j a?b") && len(texts) < eventRate {
		t.Errorf("code %d, %d events: %s", exit.Code, len(texts), all)
	}
}

// Events outlive g8os_core, those of before the spool was there among them,
// and their numbers grow.
func TestT27EventsAreKept(t *testing.T) {
	o := Options{Spool: filepath.Join(t.TempDir(), "spool"), RunDir: t.TempDir(), Log: discard}
	first := New(o)
	first.Note(api.LevelCritical, "core", "early", nil)
	if err := first.Open(testKey); err != nil {
		t.Fatal(err)
	}
	first.Note(api.LevelWarning, "core", "later", nil)
	first.Leave()
	second := opened(t, o)
	second.Note(api.LevelWarning, "core", "last", nil)
	session, last := second.Attach(), uint64(0)
	for _, want := range []string{"early", "later", "last"} {
		f, _ := take(second, session)
		if f.Type != api.FrameEvent || f.Event.Text != want || f.Seq <= last {
			t.Fatalf("%+v, want %q with a number above %d", f, want, last)
		}
		last = f.Seq
	}
}

// Many short children under a reaper such as PID 1 has: no exit code is
// lost, and no zombie is left (T16).
func TestManyShortChildren(t *testing.T) {
	n := 300 // the tests of all packages are to take minutes; G8OS_TEST_CHILDREN=10000 takes some alone
	if more, err := strconv.Atoi(os.Getenv("G8OS_TEST_CHILDREN")); err == nil {
		n = more
	}
	stop := make(chan struct{})
	reaped := make(chan struct{})
	go func() {
		defer close(reaped)
		for {
			select {
			case <-stop:
				return
			default:
				reap.Once(discard)
				time.Sleep(5 * time.Millisecond)
			}
		}
	}()
	j := opened(t, Options{})
	session := j.Attach()
	const atOnce = 50
	for i := range atOnce {
		j.Start(fmt.Sprint(i), api.ExecRequest{Argv: []string{"sh", "-c", fmt.Sprintf("exit %d", i%100)}}, 0, false)
	}
	for started, ended := atOnce, 0; ended < n; {
		f, _ := take(j, session)
		if f.Type != api.FrameExit {
			continue
		}
		ended++
		i, _ := strconv.Atoi(f.Job)
		if f.Code != i%100 || f.Error != "" {
			t.Errorf("job %d: code %d, %s", i, f.Code, f.Error)
		}
		j.Ack(f.Job, f.Seq)
		if started < n {
			j.Start(fmt.Sprint(started), api.ExecRequest{Argv: []string{"sh", "-c", fmt.Sprintf("exit %d", started%100)}}, 0, false)
			started++
		}
	}
	j.CancelAll()
	close(stop)
	<-reaped
	for range 100 {
		if zombies() == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%d zombies are left", zombies())
}

// zombies counts the dead children of this process.
func zombies() (n int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(stat), fmt.Sprintf(") Z %d ", os.Getpid())) {
			n++
		}
	}
	return n
}
