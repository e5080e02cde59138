package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/client/clienttest"
	"github.com/g8os/g8os/core/api"
)

// Who follows the audit sees each entry once, also when the AC was away.
func TestFollowOutlivesTheAC(t *testing.T) {
	var asked atomic.Int64
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := asked.Add(1); {
		case n == 2 || n == 3: // the AC is away: for the connection that stood, and for a new one
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = c.Close()
		case r.URL.Query().Get("after") == "0":
			_ = json.NewEncoder(w).Encode([]api.AuditEntry{{Seq: 1, Action: "one"}})
		case r.URL.Query().Get("after") == "1":
			_ = json.NewEncoder(w).Encode([]api.AuditEntry{{Seq: 2, Action: "two"}})
		default:
			_ = json.NewEncoder(w).Encode([]api.AuditEntry{})
		}
	})
	g := clienttest.NewGrid(t)
	path := g.Context("default", g.AC(h, time.Now().Add(time.Hour)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	var errs strings.Builder
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"--context", path, "audit", "--follow", "-o", "json"}, environment{stdout: in, stderr: &errs, getenv: func(string) string { return "" }})
	}()
	lines := bufio.NewScanner(out)
	for _, want := range []string{`"action":"one"`, `"action":"two"`} {
		if !lines.Scan() || !strings.Contains(lines.Text(), want) {
			t.Fatalf("%q, want %s", lines.Text(), want)
		}
	}
	cancel()
	if code := <-ended; code != exitInterrupted {
		t.Errorf("exit status %d", code)
	}
	if !strings.Contains(errs.String(), "trying again") {
		t.Errorf("it does not say that the AC was away: %q", errs.String())
	}
}
