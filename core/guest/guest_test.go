package guest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// bench is a guest on a socket that does what QEMU's chardev does.
type bench struct {
	t    *testing.T
	path string
	held atomic.Bool
	got  chan Go
}

func serve(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, path: filepath.Join(t.TempDir(), "channel"), got: make(chan Go, 8)}
	l, err := net.Listen("unix", b.path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	o := Options{
		Held: b.held.Load,
		Go: func(_ context.Context, g Go) error {
			if !b.held.Swap(false) {
				return errors.New("it is not held")
			}
			b.got <- g
			return nil
		},
		Open: func(context.Context) (Channel, error) {
			c, err := l.Accept()
			if err != nil {
				return nil, err
			}
			return c.(*net.UnixConn), nil
		},
	}
	go func() { defer close(over); _ = Serve(ctx, o) }()
	t.Cleanup(func() { cancel(); _ = l.Close(); <-over })
	return b
}

func (b *bench) dial() net.Conn {
	b.t.Helper()
	c, err := net.Dial("unix", b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (b *bench) connect() *Session {
	b.t.Helper()
	s, err := Connect(soon(b.t), b.dial())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = s.Close() })
	return s
}

// soon only stops a hang.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestGo(t *testing.T) {
	b := serve(t)
	b.held.Store(true)
	s := b.connect()
	if held, err := s.State(soon(t)); err != nil || !held || !s.Held() {
		t.Fatalf("held %v and %v, %v", held, s.Held(), err)
	}
	want := Go{Hostname: "n1", Entropy: bytes.Repeat([]byte{7}, 32), Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)}
	if err := s.Go(soon(t), want); err != nil {
		t.Fatal(err)
	}
	if got := <-b.got; got.Hostname != want.Hostname || !bytes.Equal(got.Entropy, want.Entropy) || !got.Time.Equal(want.Time) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if held, err := s.State(soon(t)); err != nil || held {
		t.Errorf("held %v, %v after go", held, err)
	}
	err := s.Go(soon(t), want)
	if remote := (*RemoteError)(nil); !errors.As(err, &remote) || !strings.Contains(err.Error(), "not held") {
		t.Errorf("second go: %v", err)
	}
	_ = s.Close()
	if b.connect().Held() {
		t.Error("held again")
	}
}

func run(t *testing.T, s *Session, in string, argv ...string) (exit Exit, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	exit, err := s.Exec(soon(t), Command{Argv: argv, Env: []string{"X=y"}}, Stdio{In: strings.NewReader(in), Out: &o, Err: &e})
	if err != nil {
		t.Fatalf("%v: %v", argv, err)
	}
	return exit, o.String(), e.String()
}

func TestExec(t *testing.T) {
	s := serve(t).connect()
	big := strings.Repeat("0123456789abcdef", 64<<10)
	for _, tt := range []struct {
		script, in, out, errs string
		exit                  Exit
	}{
		{script: "echo $X; echo e >&2; exit 3", out: "y\n", errs: "e\n", exit: Exit{Code: 3}},
		{script: "cat; pwd", in: "some text", out: "some text/\n"},
		{script: "cat", in: big, out: big},
		{script: "kill -TERM $$", exit: Exit{Signal: 15}},
		{script: "true", in: big}, // never reads
		{script: "echo first; sleep 60 & exit 4", out: "first\n", exit: Exit{Code: 4}},
	} {
		exit, out, errs := run(t, s, tt.in, "sh", "-c", tt.script)
		if exit != tt.exit || out != tt.out || errs != tt.errs {
			t.Errorf("%s: got %+v, %d bytes %.40q, %q", tt.script, exit, len(out), out, errs)
		}
	}
	for status, argv := range map[int][]string{0: nil, 127: {"no-such-program"}, 126: {"/etc/passwd"}} {
		_, err := s.Exec(soon(t), Command{Argv: argv}, Stdio{})
		if remote := (*RemoteError)(nil); !errors.As(err, &remote) || remote.Status != status {
			t.Errorf("%v: %+v", argv, err)
		}
	}
	_, err := s.Exec(soon(t), Command{Argv: []string{"/no/such/program"}}, Stdio{})
	if remote := (*RemoteError)(nil); !errors.As(err, &remote) || remote.Status != 127 {
		t.Errorf("%+v", err)
	}
	if _, out, _ := run(t, s, "", "echo", "still there"); out != "still there\n" {
		t.Errorf("got %q", out)
	}
}

// A signal gets through to a command that leaves its input unread.
func TestSignalPassesStdin(t *testing.T) {
	s := serve(t).connect()
	signals := make(chan os.Signal, 1)
	out := writerFunc(func([]byte) (int, error) { signals <- syscall.SIGINT; return 1, nil })
	exit, err := s.Exec(soon(t), Command{Argv: []string{"sh", "-c", "echo; exec sleep 1000"}}, Stdio{In: endless{}, Out: out, Signals: signals})
	if err != nil || exit.Signal != int(syscall.SIGINT) {
		t.Errorf("%+v, %v", exit, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestTerminal(t *testing.T) {
	s := serve(t).connect()
	resize := make(chan Size, 1)
	r, w := io.Pipe()
	var out bytes.Buffer
	done := make(chan error, 1)
	script := `stty size; test -t 0 && test -t 2 && echo tty; trap 'stty size; exit 5' WINCH; echo ready; while read x; do echo "got $x"; done; while :; do sleep 0.05; done`
	go func() {
		exit, err := s.Exec(soon(t), Command{Argv: []string{"sh", "-c", script}, TTY: &Size{Rows: 33, Cols: 77}},
			Stdio{In: r, Resize: resize, Out: writerFunc(func(p []byte) (int, error) {
				out.Write(p)
				if bytes.Contains(p, []byte("got word")) {
					resize <- Size{Rows: 10, Cols: 20}
				}
				return len(p), nil
			})})
		if err == nil && exit.Code != 5 {
			err = errors.New("it did not end by the resize")
		}
		done <- err
	}()
	_, _ = io.WriteString(w, "word\n")
	_ = w.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	text := strings.ReplaceAll(out.String(), "\r", "")
	for _, want := range []string{"33 77\n", "tty\n", "got word\n", "10 20\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
}

// A host that goes away takes its commands with it, and the next one is served.
func TestHostGoesAway(t *testing.T) {
	b := serve(t)
	s := b.connect()
	pid := make(chan string, 1)
	out := writerFunc(func(p []byte) (int, error) { pid <- strings.TrimSpace(string(p)); return len(p), nil })
	ended := make(chan error, 1)
	go func() {
		_, err := s.Exec(soon(t), Command{Argv: []string{"sh", "-c", "echo $$; sleep 1000; true"}}, Stdio{Out: out})
		ended <- err
	}()
	stat := filepath.Join("/proc", <-pid)
	_ = s.Close()
	if err := <-ended; !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want ErrGone", err)
	}
	gone(t, stat)
	if _, out, _ := run(t, b.connect(), "", "echo", "again"); out != "again\n" {
		t.Errorf("got %q", out)
	}
}

// So does one whose stream ends while others go on.
func TestCallerGoesAway(t *testing.T) {
	s := serve(t).connect()
	ctx, cancel := context.WithCancel(soon(t))
	var stat string
	out := writerFunc(func(p []byte) (int, error) {
		stat = filepath.Join("/proc", strings.TrimSpace(string(p)))
		cancel()
		return len(p), nil
	})
	_, err := s.Exec(ctx, Command{Argv: []string{"sh", "-c", "echo $$; sleep 1000; true"}}, Stdio{In: endless{}, Out: out})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it cancelled", err)
	}
	gone(t, stat)
	if _, out, _ := run(t, s, "", "echo", "on"); out != "on\n" {
		t.Errorf("got %q", out)
	}
}

// gone waits until a process is no more.
func gone(t *testing.T, stat string) {
	t.Helper()
	ctx := soon(t)
	for {
		if _, err := os.Stat(stat); err != nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s is still there", stat)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestDial(t *testing.T) {
	s := serve(t).connect()
	path := filepath.Join(t.TempDir(), "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				all, _ := io.ReadAll(c) // until the other side has said all
				_, _ = c.Write(bytes.ToUpper(all))
				_ = c.Close()
			}()
		}
	}()
	c, err := s.Dial(soon(t), path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("word ", 100000)
	go func() {
		_, _ = io.WriteString(c, text)
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || string(got) != strings.ToUpper(text) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := s.Dial(soon(t), path+"x"); err == nil || !strings.Contains(err.Error(), "the guest says") {
		t.Errorf("got %v", err)
	}
}

// Whatever a host sends, the next one is served.
func TestHostsThatSendRubbish(t *testing.T) {
	b := serve(t)
	for _, rubbish := range []string{"", "\n\n\n", "GET / HTTP/1.1\r\n\r\n", "\x00\x07rubbish", strings.Repeat("\xff", 1<<16), "\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00"} {
		c := b.dial()
		_, _ = io.WriteString(c, rubbish)
		_ = c.Close()
	}
	s := b.connect()
	c, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(c, strings.Repeat("x", maxLine+8<<10)) }()
	text, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(text), "a line of more than") {
		t.Errorf("got %q, %v", text, err)
	}
	if _, out, _ := run(t, s, "", "echo", "here"); out != "here\n" {
		t.Errorf("got %q", out)
	}
}

// A guest whose host changed without its noticing, in the middle of a frame,
// is brought out of it by the next host.
func TestGuestInTheMiddleOfAFrame(t *testing.T) {
	b := serve(t)
	c := b.dial()
	if held, err := readGreeting(newConn(c).r); held || err != nil {
		t.Fatal(err)
	}
	// A ping; data of 4096 bytes for a stream that it opens, and only ten of them.
	if _, err := io.WriteString(c, "\x00\x02\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"+"\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x10\x00"+"0123456789"); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(bytes.Repeat([]byte{'\n'}, Resync)) // the next host, which got no greeting
	if text, err := io.ReadAll(c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q, %v: the guest did not give up", text, err)
	}
	b.connect()
}

// What was on its way to the guest's last boot is not done by this one.
func TestFramesOfTheLastBoot(t *testing.T) {
	b := serve(t)
	b.held.Store(true)
	c := b.dial()
	frame := "{\"op\":\"go\"}\n"
	_, _ = io.WriteString(c, "\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00"+string(rune(len(frame)))+frame)
	if _, err := io.ReadAll(c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	if !b.connect().Held() {
		t.Error("it went")
	}
}

// A host in the middle of a frame when the guest was reset loses the session
// once the new guest greets.
func TestHostInTheMiddleOfAFrame(t *testing.T) {
	ours, theirs := net.Pipe()
	sessions := make(chan *Session, 1)
	go func() {
		s, err := Connect(soon(t), theirs)
		if err != nil {
			t.Error(err)
		}
		sessions <- s
	}()
	go func() { // the host's frames
		_, _ = io.WriteString(ours, Greeting+Running+"\n")
		var ping [12]byte
		_, _ = io.ReadFull(ours, ping[:])
		ping[3] = 2 // its answer
		_, _ = ours.Write(ping[:])
		_, _ = io.Copy(io.Discard, ours)
	}()
	s := <-sessions
	if s == nil {
		t.FailNow()
	}
	c, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(ours, "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x10\x00"+"reset in here")
	_, _ = io.WriteString(ours, strings.Repeat("\n", Resync)+Greeting+Held+"\n") // may end early: the host has gone
	select {
	case <-s.Done():
	case <-soon(t).Done():
		t.Error("the host still believes in its session")
	}
}

// Before the greeting may come what the guest's last session left on the way.
func TestGreeting(t *testing.T) {
	for text, want := range map[string]string{
		Greeting + "held\n":                                     Held,
		Greeting + "running\n":                                  Running,
		"\n\n" + Greeting + "held\n":                            Held,
		"\x00\x00g8os" + Greeting + "x\n" + Greeting + "held\n": Held,
		"g8os-g" + Greeting + "running\n":                       Running,
		"":                                                      "does not greet",
		Greeting + "he":                                         "stops in its greeting",
		strings.Repeat("x", maxBefore):                          "does not greet in",
	} {
		held, err := readGreeting(newConn(reader{strings.NewReader(text)}).r)
		got := map[bool]string{true: Held, false: Running}[held]
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%.40q: got %s, want %s", text, got, want)
		}
	}
}

type reader struct{ *strings.Reader }

func (reader) Write([]byte) (int, error)        { return 0, io.ErrClosedPipe }
func (reader) Close() error                     { return nil }
func (reader) LocalAddr() net.Addr              { return nil }
func (reader) RemoteAddr() net.Addr             { return nil }
func (reader) SetDeadline(time.Time) error      { return nil }
func (reader) SetReadDeadline(time.Time) error  { return nil }
func (reader) SetWriteDeadline(time.Time) error { return nil }

func TestFindPort(t *testing.T) {
	root := t.TempDir()
	if _, err := findPort(root, Port); !errors.Is(err, ErrNoPort) {
		t.Errorf("got %v", err)
	}
	for dev, name := range map[string]string{"vport0p1": "org.qemu.guest_agent.0", "vport1p2": Port} {
		dir := filepath.Join(root, "sys/class/virtio-ports", dev)
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "name"), []byte(name+"\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := findPort(root, Port); err != nil || got != filepath.Join(root, "dev/vport1p2") {
		t.Errorf("got %s, %v", got, err)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte("{\"op\":\"exec\",\"argv\":[\"x\"],\"tty\":{\"rows\":1}}\n"))
	f.Add([]byte("{\"op\":\"go\",\"entropy\":\"AAAA\",\"time\":\"2026-01-02T03:04:05Z\"}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var q request
		if err := readLine(newConn(reader{strings.NewReader(string(text))}).r, &q); err != nil {
			return
		}
		var b bytes.Buffer
		if err := writeLine(&b, q); err != nil && b.Len() > 0 {
			t.Errorf("%v after %d bytes", err, b.Len())
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x01x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var buf [maxFrame]byte
		kind, p, err := readFrame(bytes.NewReader(text), &buf)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := (&frames{w: &b}).send(kind, p); err != nil || !bytes.HasPrefix(text, b.Bytes()) {
			t.Errorf("%q became %q, %v", text, b.Bytes(), err)
		}
	})
}
