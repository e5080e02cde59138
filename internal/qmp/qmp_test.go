package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fake is a QEMU of which a test writes what it says.
type fake struct {
	*net.UnixConn
	lines *bufio.Reader
}

func (f *fake) say(format string, a ...any) {
	_, _ = fmt.Fprintf(f, format+"\r\n", a...)
}

// command reads the next command; ok is false when the client is gone.
func (f *fake) command() (name string, ok bool) {
	line, err := f.lines.ReadBytes('\n')
	if err != nil {
		return "", false
	}
	var c struct {
		Execute string `json:"execute"`
	}
	_ = json.Unmarshal(line, &c)
	return c.Execute, true
}

// qemu serves one script per connection, and repeats the last.
func qemu(t *testing.T, scripts ...func(f *fake)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "qmp")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f := &fake{c.(*net.UnixConn), bufio.NewReader(c)}
			f.say(`{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "x"}, "capabilities": ["oob"]}}`)
			scripts[min(n, len(scripts)-1)](f)
			_ = c.Close()
		}
	}()
	return path
}

// handshake answers what Dial asks.
func handshake(f *fake) {
	f.command()
	f.say(`{"return": {}}`)
}

func dial(t *testing.T, path string) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestEventsNeverBlockACommand(t *testing.T) {
	path := qemu(t, func(f *fake) {
		handshake(f)
		for n := 0; ; n++ {
			name, ok := f.command()
			if !ok {
				return
			}
			for i := range 1000 {
				f.say(`{"event": "TICK", "data": {"n": %d}, "timestamp": {"seconds": 1, "microseconds": 2}}`, i)
			}
			f.say(`{"return": {"name": %q}}`, name)
		}
	})
	c := dial(t, path)
	for _, name := range []string{"query-a", "query-b", "query-c"} {
		var got struct{ Name string }
		if err := c.Run(t.Context(), name, nil, &got); err != nil || got.Name != name {
			t.Fatalf("%s: got %q, %v", name, got.Name, err)
		}
	}
	e, err := c.Wait(t.Context(), func(e Event) bool { return e.Data["n"] == float64(999) })
	if err != nil || e.Name != "TICK" {
		t.Errorf("%v, %v", e, err)
	}
}

func TestAnEventInTheHandshakeIsNoReply(t *testing.T) {
	path := qemu(t, func(f *fake) {
		f.command()
		f.say(`{"event": "RESUME", "timestamp": {"seconds": 1, "microseconds": 2}}`)
		f.say(`{"return": {}}`)
		f.command()
		f.say(`{"return": {"status": "running"}}`)
	})
	var got struct{ Status string }
	if err := dial(t, path).Run(t.Context(), "query-status", nil, &got); err != nil || got.Status != "running" {
		t.Errorf("got %q, %v", got.Status, err)
	}
}

func TestAnAnswerTooLongIsNotTheEnd(t *testing.T) {
	path := qemu(t, func(f *fake) {
		handshake(f)
		f.command()
		f.say(`{"return": %q}`, strings.Repeat("x", 1<<20))
		f.command()
		f.say(`{"return": {}}`)
		f.command()
	})
	c := dial(t, path)
	if err := c.Run(t.Context(), "query-qmp-schema", nil, nil); err == nil || !strings.Contains(err.Error(), "more than can be read") {
		t.Errorf("got %v", err)
	}
	if err := c.Run(t.Context(), "query-name", nil, nil); err != nil {
		t.Error(err)
	}
}

func TestAQEMUThatHangsIsLeftAtTheDeadline(t *testing.T) {
	ended := make(chan struct{})
	path := qemu(t, func(f *fake) {
		handshake(f)
		f.command()
		_, _ = f.lines.ReadByte() // says nothing until the client goes
		close(ended)
	})
	c := dial(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err := c.Run(ctx, "stop", nil, nil)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "stop") {
		t.Errorf("got %v", err)
	}
	<-ended
	if err := c.Run(t.Context(), "cont", nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after that: %v", err)
	}
}

func TestASocketNobodyServesIsLeftAtTheDeadline(t *testing.T) {
	path := filepath.Join(t.TempDir(), "qmp")
	l, err := net.Listen("unix", path) // accepts nobody, like a QEMU with another client
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, path); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another client") {
		t.Errorf("got %v", err)
	}
}

func TestAQEMUThatEndsIsToldApart(t *testing.T) {
	path := qemu(t, func(f *fake) { handshake(f); f.command() })
	c := dial(t, path)
	if err := c.Run(t.Context(), "quit", nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("a command: %v", err)
	}
	if _, err := c.Wait(t.Context(), func(Event) bool { return false }); !errors.Is(err, ErrClosed) {
		t.Errorf("an event: %v", err)
	}
}

func TestAnErrorSaysWhatWasAsked(t *testing.T) {
	path := qemu(t, func(f *fake) {
		handshake(f)
		for {
			_, ok := f.command()
			if !ok {
				return
			}
			f.say(`{"error": {"class": "GenericError", "desc": "Bus 'rp0' not found"}}`)
		}
	})
	err := dial(t, path).Run(t.Context(), "device_add", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "device_add: Bus 'rp0' not found") {
		t.Errorf("got %v", err)
	}
}

func TestAFileIsPassed(t *testing.T) {
	got := make(chan string, 1)
	path := qemu(t, func(f *fake) {
		handshake(f)
		line, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
		_, oobn, _, _, err := f.ReadMsgUnix(line, oob)
		if err != nil {
			got <- err.Error()
			return
		}
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil || len(messages) != 1 {
			got <- fmt.Sprint(messages, err)
			return
		}
		fds, _ := unix.ParseUnixRights(&messages[0])
		file := os.NewFile(uintptr(fds[0]), "passed")
		defer file.Close()
		text := make([]byte, 100)
		k, _ := file.ReadAt(text, 0)
		got <- string(text[:k])
		f.say(`{"return": {}}`)
	})
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte("through the socket"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := dial(t, path).Pass(t.Context(), "x", file); err != nil {
		t.Error(err)
	}
	if text := <-got; text != "through the socket" {
		t.Errorf("QEMU read %q", text)
	}
}
