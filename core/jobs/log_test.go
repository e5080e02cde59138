package jobs

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/g8os/g8os/core/api"
)

// What an operator hands to a command does not get into the node's log, and
// the longest timeout there is does not end it.
func TestArgumentsStayOutOfTheLog(t *testing.T) {
	var log bytes.Buffer
	jobs := opened(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	session := jobs.Attach()
	jobs.Start("j", api.ExecRequest{
		Argv: []string{"sh", "-c", "sleep 0.1; : hunter2"}, Env: map[string]string{"PASSWORD": "hunter2"}, TimeoutMS: math.MaxInt64,
	}, 0, false)
	exit, ok := take(jobs, session)
	if !ok || exit.Type != api.FrameExit || exit.Code != 0 || exit.Error != "" {
		t.Errorf("the job ended with %+v", exit)
	}
	jobs.CancelAll()
	if strings.Contains(log.String(), "hunter2") || !strings.Contains(log.String(), "command=sh") {
		t.Errorf("the log says\n%s", &log)
	}
}

// A command whose name is as long as a request may be does not make a frame
// that no session can carry.
func TestLongCommandFitsAFrame(t *testing.T) {
	jobs := opened(t, Options{})
	session := jobs.Attach()
	jobs.Start("j", api.ExecRequest{Argv: []string{strings.Repeat("\x7f", 60_000)}}, 0, false)
	exit, ok := take(jobs, session)
	if !ok || exit.Error == "" {
		t.Fatalf("the job ended with %+v", exit)
	}
	message, err := json.Marshal(exit)
	if err != nil || len(message) > api.MaxFrame {
		t.Errorf("its end is a frame of %d bytes, %v; a session takes %d", len(message), err, api.MaxFrame)
	}
}
