package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/client/clienttest"
	"github.com/g8os/g8os/core/api"
)

// ac answers as an AC with one node would.
func ac(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	expires, seen := time.Now().Add(72*time.Hour+time.Minute), time.Now().Add(-5*time.Second)
	one := api.Node{
		ID: "020000000001", MAC: "02:00:00:00:00:01", Name: "n1", State: api.NodeEnrolled, Phase: "managed", Way: "dhcp",
		Address: "10.0.0.7/24", Fingerprint: "0011-2233", CertificateExpires: &expires, LastSeen: &seen,
	}
	answer := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if err := json.NewEncoder(w).Encode(v); err != nil {
				t.Error(err)
			}
		}
	}
	mux.HandleFunc("GET "+api.PathNodes, answer([]api.Node{one, {ID: "020000000002", MAC: "02:00:00:00:00:02", State: api.NodePending, Reason: "waits for approval"}}))
	mux.HandleFunc("POST "+api.PathApprove, answer(one))
	mux.HandleFunc("GET "+api.PathAudit, answer([]api.AuditEntry{{Seq: 1, Action: "unlock", Node: one.ID, Decision: "granted", Reason: "enrolled"}}))
	mux.HandleFunc("GET "+api.PathFaults, answer([]api.Fault{{Name: "slow"}}))
	mux.HandleFunc("POST "+api.PathRetire, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		answer(api.Failure{Error: "it is retired already", Remedy: "nothing to do"})(w, nil)
	})
	return mux
}

// try runs the program with a context for the AC of the test.
func try(t *testing.T, path string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"--context", path}, args...), environment{stdout: &out, stderr: &errs, getenv: func(string) string { return "" }})
	return code, out.String(), errs.String()
}

func TestCommands(t *testing.T) {
	g := clienttest.NewGrid(t)
	path := g.Context("default", g.AC(ac(t), time.Now().Add(time.Hour)))
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string // what must be in it; "" nothing
	}{
		{"nodes", 0, "n1            02:00:00:00:00:01  enrolled  managed  dhcp  10.0.0.7/24  -        for 3d       5s ago", ""},
		{"nodes", 0, "020000000002  02:00:00:00:00:02  pending", ""},
		{"node approve n1", 0, "fingerprint  0011-2233", ""},
		{"node retire n1", 1, "", "g8os: it is retired already\n      → nothing to do"},
		{"audit", 0, "granted   enrolled", ""},
		{"audit -o json", 0, `"decision": "granted"`, ""},
		{"fault list", 0, "until cleared", ""},
		{"nods", 2, "", "nods"},
		{"nodes -o xml", 2, "", "json"},
		{"--help", 0, "Exit status:", ""},
	} {
		code, stdout, stderr := try(t, path, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || c.stdout == "" && stdout != "" ||
			!strings.Contains(strings.ToLower(stderr), strings.ToLower(c.stderr)) || c.stderr == "" && stderr != "" {
			t.Errorf("g8os %s: exit %d, want %d\nstdout: %s\nstderr: %s", c.args, code, c.code, stdout, stderr)
		}
	}
}

// The JSON of nodes has the keys that scripts rely on.
func TestNodesJSON(t *testing.T) {
	g := clienttest.NewGrid(t)
	_, stdout, _ := try(t, g.Context("default", g.AC(ac(t), time.Now().Add(time.Hour))), "nodes", "-o", "json")
	var list []map[string]any
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || len(list) != 2 {
		t.Fatalf("%v: %s", err, stdout)
	}
	for _, key := range []string{"id", "mac", "state", "phase", "way", "address", "certificate_expires", "last_seen"} {
		for _, n := range list {
			if _, ok := n[key]; !ok {
				t.Errorf("no %q in %v", key, n)
			}
		}
	}
}

// One clear line, and what to do, when there is nobody to ask.
func TestNobodyToAsk(t *testing.T) {
	g := clienttest.NewGrid(t)
	for what, path := range map[string]string{
		"no context": t.TempDir() + "/none.toml",
		"AC away":    g.Context("away", "https://127.0.0.1:1"),
	} {
		code, stdout, stderr := try(t, path, "nodes")
		if code != exitUnreached || stdout != "" || !strings.HasPrefix(stderr, "g8os: ") || strings.Count(stderr, "\n") > 2 {
			t.Errorf("%s: exit %d, %q", what, code, stderr)
		}
	}
}

// Watching goes on when the AC comes back.
func TestWatchOutlivesTheAC(t *testing.T) {
	g := clienttest.NewGrid(t)
	asked := make(chan struct{}, 8)
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `[{"id":"020000000001","name":"n1"}]`) // and gone again
		asked <- struct{}{}
	})
	path := g.Context("default", g.AC(h, time.Now().Add(time.Hour)))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; <-asked; cancel() }()
	var out, errs bytes.Buffer
	code := run(ctx, []string{"--context", path, "nodes", "--watch"}, environment{stdout: &out, stderr: &errs, getenv: func(string) string { return "" }})
	if code != exitInterrupted || !strings.Contains(out.String(), "n1") || !strings.Contains(errs.String(), "the AC was lost: EOF; trying again until Ctrl-C") {
		t.Errorf("exit %d\n%s\n%s", code, &out, &errs)
	}
}

func TestNodesAreInOrder(t *testing.T) {
	var b bytes.Buffer
	list := []api.Node{{Name: "n-10"}, {Name: "n-2"}, {Name: "a"}, {Name: "n-1"}}
	if err := nodeTable(&b, list, time.Now()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.Fields(line)[0])
	}
	if want := "NAME a n-1 n-2 n-10"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
