package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// agent speaks to the QEMU guest agent of a machine, which runs commands in it
// without any network.
type agent struct {
	socket string

	mu   sync.Mutex // the socket takes one at a time
	last int64
}

// result is how a command ended.
type result struct {
	code     int
	out, err string
}

// run runs a shell script as root and waits for its end.
func (a *agent) run(ctx context.Context, script, stdin string) (result, error) {
	var started struct {
		PID int `json:"pid"`
	}
	args := map[string]any{
		"path": "/bin/sh", "arg": []string{"-c", script}, "capture-output": true, "input-data": []byte(stdin),
		"env": []string{"HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"},
	}
	if err := a.call(ctx, "guest-exec", args, &started); err != nil {
		return result{}, fmt.Errorf("run %q: %w", script, err)
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) { // it logs each question
		var status struct {
			Exited bool   `json:"exited"`
			Code   int    `json:"exitcode"`
			Out    []byte `json:"out-data"`
			Err    []byte `json:"err-data"`
		}
		if err := a.call(ctx, "guest-exec-status", map[string]any{"pid": started.PID}, &status); err != nil {
			return result{}, fmt.Errorf("wait for %q: %w", script, err)
		}
		if status.Exited {
			return result{status.Code, string(status.Out), string(status.Err)}, nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return result{}, fmt.Errorf("%q has not ended: %w", script, ctx.Err())
		}
	}
}

// ping says whether the agent answers, within a second.
func (a *agent) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return a.call(ctx, "guest-ping", nil, nil)
}

// call is one command and its answer, on a connection of its own.
func (a *agent) call(ctx context.Context, command string, args, into any) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", a.socket)
	if err != nil {
		return fmt.Errorf("guest agent: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	lines := bufio.NewReader(conn)
	// What an earlier caller has left unread comes first; a number of our own
	// says where our answers begin.
	a.last++
	if _, err := a.ask(conn, lines, "guest-sync", map[string]any{"id": a.last}, func(answer json.RawMessage) bool {
		var id int64
		return json.Unmarshal(answer, &id) == nil && id == a.last
	}); err != nil {
		return err
	}
	answer, err := a.ask(conn, lines, command, args, func(json.RawMessage) bool { return true })
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

func (a *agent) ask(conn net.Conn, lines *bufio.Reader, command string, args any, ours func(json.RawMessage) bool) (json.RawMessage, error) {
	question := map[string]any{"execute": command}
	if args != nil {
		question["arguments"] = args
	}
	if err := json.NewEncoder(conn).Encode(question); err != nil {
		return nil, fmt.Errorf("guest agent: %w", err)
	}
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("guest agent: %s: %w", command, err)
		}
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Desc string `json:"desc"`
			} `json:"error"`
		}
		switch err := json.Unmarshal(line, &answer); {
		case err != nil:
			continue // half an answer to somebody who is gone
		case answer.Error != nil && command != "guest-sync":
			return nil, errors.New("guest agent: " + command + ": " + answer.Error.Desc)
		case answer.Return != nil && ours(answer.Return):
			return answer.Return, nil
		}
	}
}
