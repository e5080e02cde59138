package managed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/jobs"
	"github.com/g8os/g8os/core/jobs/ledger"
	"github.com/g8os/g8os/core/managed/pulse"
)

// peer is the AC's end of sessions, in a test.
type peer struct {
	t        *testing.T
	url      string
	sessions chan *websocket.Conn
}

func newPeer(t *testing.T) *peer {
	p := &peer{t: t, sessions: make(chan *websocket.Conn)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Refuse") != "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		c.SetReadLimit(api.MaxFrame)
		p.sessions <- c
	}))
	t.Cleanup(srv.Close)
	p.url = srv.URL
	return p
}

// connection is a Connection without TLS.
type connection struct {
	http.RoundTripper
	url    string
	refuse bool
}

func (c connection) URL(path string) string { return c.url + path }
func (c connection) Close()                 {}
func (c connection) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.refuse {
		r.Header.Set("X-Refuse", "1")
	}
	return http.DefaultTransport.RoundTrip(r)
}

func (p *peer) open(jobs *jobs.Jobs, timing Timing, settings func(api.Settings)) (*Session, *websocket.Conn) {
	p.t.Helper()
	type opened struct {
		s   *Session
		err error
	}
	done := make(chan opened, 1)
	go func() {
		s, err := Open(p.t.Context(), connection{url: p.url}, Options{
			Jobs: jobs, Timing: timing, Settings: settings, Log: slog.New(slog.DiscardHandler),
			Where: func() api.Whereabouts { return api.Whereabouts{Way: "dhcp"} },
		})
		done <- opened{s, err}
	}()
	c := <-p.sessions
	o := <-done
	if o.err != nil {
		p.t.Fatal(o.err)
	}
	p.t.Cleanup(func() { o.s.Close() })
	p.t.Cleanup(func() { _ = c.CloseNow() }) // first, so that Close does not wait for our closing handshake
	return o.s, c
}

func (p *peer) send(c *websocket.Conn, f api.Frame) {
	p.t.Helper()
	b, _ := json.Marshal(f)
	if err := c.Write(p.t.Context(), websocket.MessageText, b); err != nil {
		p.t.Fatal(err)
	}
}

// next returns the next frame that is neither a heartbeat nor a started one.
func (p *peer) next(c *websocket.Conn) api.Frame {
	p.t.Helper()
	for {
		kind, b, err := c.Read(p.t.Context())
		if err != nil {
			p.t.Fatal(err)
		}
		var f api.Frame
		if kind == websocket.MessageBinary {
			f, err = api.ParseOutput(b)
		} else {
			err = json.Unmarshal(b, &f)
		}
		if err != nil {
			p.t.Fatal(err)
		}
		if f.Type != api.FrameHeartbeat && f.Type != api.FrameStarted {
			return f
		}
	}
}

var calm = Timing{Heartbeat: time.Hour, Silence: time.Hour, Write: time.Minute}

func newJobs(t *testing.T) *jobs.Jobs {
	t.Helper()
	j := jobs.New(jobs.Options{RunDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err := j.Open(nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.CancelAll)
	return j
}

func TestJobOutputAndExitCode(t *testing.T) {
	p, jobs := newPeer(t), newJobs(t)
	_, c := p.open(jobs, calm, nil)
	tests := []struct {
		script    string
		out, errs string
		code      int
	}{
		{"echo out; echo err >&2; exit 7", "out\n", "err\n", 7},
		{"kill -TERM $$", "", "", 128 + 15},
		{"printf '\\000\\377'", "\x00\xff", "", 0},
		{"sleep 60 & echo left behind", "left behind\n", "", 0}, // T17: the pipe stays open
	}
	for i, tt := range tests {
		id := fmt.Sprint("job", i)
		exec := api.Frame{Type: api.FrameExec, Job: id, Exec: &api.ExecRequest{Argv: []string{"sh", "-c", tt.script}}}
		p.send(c, exec)
		p.send(c, exec) // handed out twice: runs once
		got := map[string]string{}
		for seq := uint64(1); ; seq++ {
			f := p.next(c)
			if f.Job != id || f.Seq != seq {
				t.Fatalf("%s: frame %s %d, want number %d", id, f.Job, f.Seq, seq)
			}
			if f.Type == api.FrameExit {
				if f.Code != tt.code || f.Error != "" {
					t.Errorf("%q: code %d error %q, want %d", tt.script, f.Code, f.Error, tt.code)
				}
				break
			}
			got[f.Stream] += string(f.Data)
		}
		if got["stdout"] != tt.out || got["stderr"] != tt.errs {
			t.Errorf("%q: %q, want %q and %q", tt.script, got, tt.out, tt.errs)
		}
	}
}

func TestJobThatCannotRun(t *testing.T) {
	p, jobs := newPeer(t), newJobs(t)
	_, c := p.open(jobs, calm, nil)
	for i, tt := range []struct {
		req  api.ExecRequest
		code int
		err  string
	}{
		{api.ExecRequest{Argv: []string{"no-such-command-here"}}, 127, "no-such-command-here"},
		{api.ExecRequest{Argv: []string{"/etc"}}, 126, "/etc"},
		{api.ExecRequest{Argv: []string{"true"}, Dir: "/nonexistent"}, 126, "in /nonexistent: there is no such folder"},
		{api.ExecRequest{}, 126, "empty"},
		{api.ExecRequest{Argv: []string{"sleep", "60"}, TimeoutMS: 50}, 143, "timeout"},
	} {
		p.send(c, api.Frame{Type: api.FrameExec, Job: fmt.Sprint(i), Exec: &tt.req})
		if f := p.next(c); f.Type != api.FrameExit || f.Code != tt.code || !strings.Contains(f.Error, tt.err) {
			t.Errorf("%v: %+v, want code %d and an error about %q", tt.req.Argv, f, tt.code, tt.err)
		}
	}
}

func TestCancel(t *testing.T) {
	p, jobs := newPeer(t), newJobs(t)
	_, c := p.open(jobs, calm, nil)
	p.send(c, api.Frame{Type: api.FrameExec, Job: "j", Exec: &api.ExecRequest{Argv: []string{"sh", "-c", "echo up; sleep 60"}}})
	if f := p.next(c); string(f.Data) != "up\n" {
		t.Fatalf("%+v", f)
	}
	p.send(c, api.Frame{Type: api.FrameCancel, Job: "j"})
	if f := p.next(c); f.Type != api.FrameExit || f.Code != 143 {
		t.Fatalf("%+v, want an exit with 143", f)
	}
}

// TestSessionCutMidOutput cuts the session while a job speaks, which goes on
// meanwhile: the next one brings what was not acknowledged, without a gap.
func TestSessionCutMidOutput(t *testing.T) {
	p, jobs := newPeer(t), newJobs(t)
	_, c := p.open(jobs, calm, nil)
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	p.send(c, api.Frame{Type: api.FrameExec, Job: "j", Exec: &api.ExecRequest{
		Argv: []string{"sh", "-c", `say() { for i in $(seq $1 $2); do echo line $i; done; }; say 1 100; read x <"$0"; say 101 200`, gate},
	}})
	var text strings.Builder
	var last uint64
	for !strings.Contains(text.String(), "line 100\n") {
		f := p.next(c)
		text.Write(f.Data)
		last = f.Seq
	}
	_ = c.CloseNow()
	if err := os.WriteFile(gate, []byte("\n"), 0); err != nil { // returns when the job reads on
		t.Fatal(err)
	}

	_, c = p.open(jobs, calm, nil)
	for {
		f := p.next(c)
		if f.Seq <= last {
			continue // not acknowledged, so it comes again
		}
		if f.Seq != last+1 {
			t.Fatalf("frame %d after %d", f.Seq, last)
		}
		last = f.Seq
		if f.Type == api.FrameExit {
			break
		}
		text.Write(f.Data)
	}
	want := ""
	for i := 1; i <= 200; i++ {
		want += fmt.Sprintf("line %d\n", i)
	}
	if text.String() != want {
		t.Fatalf("output has gaps or doubles:\n%s", text.String())
	}
	_ = c.CloseNow()
}

// TestJobOfAnEarlierCore has the AC hand out a job that has spoken already and
// is not known here: it is not run a second time.
func TestJobOfAnEarlierCore(t *testing.T) {
	p := newPeer(t)
	_, c := p.open(newJobs(t), calm, nil)
	ran := filepath.Join(t.TempDir(), "ran")
	p.send(c, api.Frame{Type: api.FrameExec, Job: "j", Seq: 4, Exec: &api.ExecRequest{Argv: []string{"touch", ran}}})
	if f := p.next(c); f.Type != api.FrameExit || f.Seq != 5 || f.Error == "" {
		t.Fatalf("%+v, want an exit with number 5 that says why", f)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Fatal("it was run again")
	}
}

// TestBackPressure lets a job say more than may be unacknowledged: it waits,
// and goes on when the AC has taken some.
func TestBackPressure(t *testing.T) {
	p, jobs := newPeer(t), newJobs(t)
	_, c := p.open(jobs, calm, nil)
	p.send(c, api.Frame{Type: api.FrameExec, Job: "j", Exec: &api.ExecRequest{
		Argv: []string{"head", "-c", fmt.Sprint(4 * ledger.Window), "/dev/zero"},
	}})
	total, unacked := 0, 0
	for {
		f := p.next(c)
		if f.Type == api.FrameExit {
			break
		}
		total += len(f.Data)
		if unacked += len(f.Data); unacked > ledger.Window+api.MaxPiece {
			t.Fatalf("%d unacknowledged bytes were sent", unacked)
		}
		if unacked >= 128<<10 { // half of what there may be of a job that has no disk, before it waits
			p.send(c, api.Frame{Type: api.FrameAck, Job: "j", Seq: f.Seq})
			unacked = 0
		}
	}
	if total != 4*ledger.Window {
		t.Fatalf("%d bytes arrived, want %d", total, 4*ledger.Window)
	}
}

func TestEndsOfSessions(t *testing.T) {
	p, jobs := newPeer(t), newJobs(t)
	t.Run("silence", func(t *testing.T) {
		s, _ := p.open(jobs, Timing{Heartbeat: 20 * time.Millisecond, Silence: 60 * time.Millisecond, Write: time.Second}, nil)
		<-s.Done()
		if s.Err() == nil || !strings.Contains(s.Err().Error(), "heartbeat") {
			t.Errorf("error %v, want one about heartbeats", s.Err())
		}
	})
	t.Run("revoked", func(t *testing.T) {
		s, c := p.open(jobs, calm, nil)
		go func() { _ = c.Close(api.CloseRevoked, "revoked") }()
		<-s.Done()
		if !errors.Is(s.Err(), ErrDistrusted) {
			t.Errorf("error %v, want ErrDistrusted", s.Err())
		}
	})
	t.Run("ours", func(t *testing.T) {
		s, c := p.open(jobs, calm, nil)
		go func() {
			for {
				if _, _, err := c.Read(context.Background()); err != nil {
					return
				}
			}
		}()
		s.Close()
		if s.Err() != nil {
			t.Errorf("error %v after Close", s.Err())
		}
	})
	t.Run("refused", func(t *testing.T) {
		_, err := Open(t.Context(), connection{url: p.url, refuse: true}, Options{Jobs: jobs, Timing: calm, Log: slog.New(slog.DiscardHandler)})
		if !errors.Is(err, ErrDistrusted) {
			t.Errorf("error %v, want ErrDistrusted", err)
		}
	})
}

func TestSettings(t *testing.T) {
	p := newPeer(t)
	got := make(chan api.Settings, 1)
	_, c := p.open(newJobs(t), calm, func(x api.Settings) {
		got <- x
	})
	p.send(c, api.Frame{Type: api.FrameSettings, Settings: &api.Settings{AuthorizedKeys: []string{"k"}}})
	if x := <-got; len(x.AuthorizedKeys) != 1 {
		t.Errorf("%+v", x)
	}
}

// What stands between a node and its AC may cut connections that are silent for
// a minute, as many proxies do: both ways there is something to hear far sooner.
func TestT34NeverSilentForLong(t *testing.T) {
	const cut = time.Minute
	now := time.Unix(0, 0)
	p, last := pulse.New(DefaultTiming.Heartbeat, DefaultTiming.Silence, now), now
	for now.Before(time.Unix(3600, 0)) {
		now = p.Next()
		seq, due, err := p.Tick(now)
		if err != nil || !due {
			t.Fatalf("%v: %v, %v", now, due, err)
		}
		if p.Heard(seq, now); now.Sub(last) > cut/4 {
			t.Fatalf("silent for %s", now.Sub(last))
		}
		last = now
	}
}
