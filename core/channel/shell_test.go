package channel

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

func sh(script string) api.ChannelOpen {
	return api.ChannelOpen{Kind: api.ChannelShell, Argv: []string{"sh", "-c", script}}
}

func TestShellWithPipes(t *testing.T) {
	for _, tt := range []struct {
		script, in, out, errs string
		code                  int
	}{
		{"cat; echo err >&2; exit 7", "in", "in", "err\n", 7},
		{"kill -TERM $$", "", "", "", 128 + 15},
		{"test -t 0 || echo no terminal", "", "no terminal\n", "", 0},
		{"sleep 60 & echo left behind", "", "left behind\n", "", 0},
		{"head -c 3000000 /dev/zero | wc -c", "", "3000000\n", "", 0},
	} {
		op := open(t, sh(tt.script))
		op.ready()
		if tt.in != "" {
			op.say(tt.in)
		}
		op.eof()
		out, errs, end := op.end()
		if strings.TrimLeft(out, " ") != tt.out || errs != tt.errs || end.Code != tt.code || end.Error != "" {
			t.Errorf("%q: %q, %q, %+v", tt.script, out, errs, end)
		}
		op.gone()
	}
}

func TestShellThatCannotRun(t *testing.T) {
	for _, tt := range []struct {
		open api.ChannelOpen
		code int
		err  string
	}{
		{api.ChannelOpen{Kind: api.ChannelShell, Argv: []string{"no-such-program"}}, 127, "no-such-program"},
		{api.ChannelOpen{Kind: api.ChannelShell, Argv: []string{"/etc/passwd"}}, 126, "permission denied"},
		{api.ChannelOpen{Kind: api.ChannelShell, User: "no-such-user"}, 1, `user "no-such-user": there is none`},
		{api.ChannelOpen{Kind: api.ChannelShell, Env: map[string]string{"A=B": "c"}}, 1, "variable"},
	} {
		if _, _, end := open(t, tt.open).end(); end.Code != tt.code || !strings.Contains(end.Error, tt.err) {
			t.Errorf("%+v: %+v, want %d and %q", tt.open, end, tt.code, tt.err)
		}
	}
}

func TestShellOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root becomes another user")
	}
	o := sh("id -un; echo $HOME $USER; tty; echo x >$(tty)")
	o.User, o.Term = "nobody", "vt100"
	op := open(t, o)
	op.ready()
	out, _, end := op.end()
	if !strings.HasPrefix(out, "nobody\r\n/") || !strings.Contains(out, " nobody\r\n/dev/pts/") || end.Code != 0 {
		t.Errorf("%q, %+v", out, end)
	}
}

func TestTerminal(t *testing.T) {
	o := sh(`stty size; echo $TERM; until [ "$(stty size)" = "50 132" ]; do sleep 0.01; done; trap "echo interrupted; exit 3" INT; echo resized; read x`)
	o.Term, o.Size = "xterm-g8os", api.ChannelSize{Rows: 33, Cols: 77}
	op := open(t, o)
	op.ready()
	var out strings.Builder
	until := func(want string) {
		t.Helper()
		for !strings.Contains(out.String(), want) {
			f := op.next()
			if f.Kind != api.FrameData {
				t.Fatalf("%q, then %q %s; want %q", out.String(), rune(f.Kind), f.Data, want)
			}
			out.Write(f.Data)
		}
	}
	until("33 77\r\nxterm-g8os\r\n")
	if err := op.SendJSON(api.FrameResize, api.ChannelSize{Rows: 50, Cols: 132}); err != nil {
		t.Fatal(err)
	}
	until("resized\r\n")
	op.say("\x03")
	rest, _, end := op.end()
	if all := out.String() + rest; !strings.Contains(all, "interrupted\r\n") || end.Code != 3 {
		t.Errorf("%q, %+v", all, end)
	}
}

func TestLoginShell(t *testing.T) {
	op := open(t, api.ChannelOpen{Kind: api.ChannelShell, Term: "vt100"})
	op.ready()
	op.say("echo $0; exit 5\r")
	out, _, end := op.end()
	if !strings.Contains(out, "-"+filepath.Base(shellOf("root"))) || end.Code != 5 {
		t.Errorf("%q, %+v", out, end)
	}
}

// When the channel ends its program does, also one that will not, that reads
// nothing of what it was sent, and what it has started.
func TestHungUp(t *testing.T) {
	for _, term := range []string{"", "vt100"} {
		dir := t.TempDir()
		o := sh(`trap "" HUP TERM INT; sleep 300 & echo $! >` + dir + `/child; echo $$ >` + dir + `/self; mv ` + dir + `/self ` + dir + `/pid; while :; do sleep 300; done`)
		o.Term = term
		op := open(t, o)
		op.ready()
		self := pidIn(t, filepath.Join(dir, "pid"))
		child := pidIn(t, filepath.Join(dir, "child"))
		go func() { // until nothing more is taken
			for op.Send(api.ChannelFrame{Kind: api.FrameData, Data: make([]byte, 64<<10)}) == nil {
			}
		}()
		op.Close()
		op.gone()
		for what, pid := range map[string]int{"program": self, "its child": child} {
			if !ends(pid) {
				t.Errorf("terminal %q: the %s still runs", term, what)
			}
		}
	}
}

func pidIn(t *testing.T, path string) int {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if raw, err := os.ReadFile(path); err == nil {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(raw))); err == nil {
				return pid
			}
		}
	}
	t.Fatalf("%s does not appear", path)
	return 0
}

// alive says whether a process runs; one that only waits to be waited for does not.
// ends waits until a process has ended that was told to: it is the kernel that
// ends it, when that has its turn.
func ends(pid int) bool {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if !alive(pid) {
			return true
		}
	}
	return false
}

func alive(pid int) bool {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil || syscall.Kill(pid, 0) != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// An operator who reads nothing slows the program, and costs a window.
func TestSlowReader(t *testing.T) {
	dir := t.TempDir()
	op := open(t, sh(`i=0; while [ $i -lt 200 ]; do head -c 65536 /dev/zero; i=$((i+1)); echo $i >`+dir+`/n; done`))
	op.ready()
	said := func() string { b, _ := os.ReadFile(filepath.Join(dir, "n")); return string(b) }
	for last := ""; last == "" || said() != last; time.Sleep(300 * time.Millisecond) {
		last = said()
	}
	if n, _ := strconv.Atoi(strings.TrimSpace(said())); n*65536 > api.ChannelWindow+256<<10 {
		t.Errorf("the program wrote %d bytes to somebody who read none", n*65536)
	}
	if out, _, end := op.end(); len(out) != 200*65536 || end.Code != 0 {
		t.Errorf("%d bytes, %+v", len(out), end)
	}
}
