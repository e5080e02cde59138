package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/client/clienttest"
	"github.com/g8os/g8os/core/api"
)

// A node is given roles and loses them, and the list of nodes shows who has some.
func TestRoles(t *testing.T) {
	nodes := []api.Node{{ID: "020000000001", MAC: "02:00:00:00:00:01", Name: "n1", State: api.NodeEnrolled}, {ID: "020000000002", Name: "n2", State: api.NodePending}}
	reply := func(w http.ResponseWriter, v any) {
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.PathNodes, func(w http.ResponseWriter, _ *http.Request) { reply(w, nodes) })
	mux.HandleFunc("POST "+api.PathNodeRoles, func(w http.ResponseWriter, r *http.Request) {
		var q api.RolesRequest
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.PathValue("id") != "n1" {
			t.Errorf("%s: %v", r.PathValue("id"), err)
		}
		if slices.Contains(q.Add, "Web") {
			w.WriteHeader(http.StatusBadRequest)
			reply(w, api.Failure{Error: "not a role", Remedy: "a-z"})
			return
		}
		nodes[0].Roles = slices.DeleteFunc(append(nodes[0].Roles, q.Add...), func(r string) bool { return slices.Contains(q.Remove, r) })
		reply(w, nodes[0])
	})
	g := clienttest.NewGrid(t)
	path := g.Context("default", g.AC(mux, time.Now().Add(time.Hour)))
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"nodes", 0, "STATE     PHASE", ""},
		{"node role add n1 web db", 0, "roles        web, db\n", ""},
		{"nodes", 0, "n1    02:00:00:00:00:01  enrolled  web,db  -", ""},
		{"nodes", 0, "STATE     ROLES   PHASE", ""},
		{"node role remove n1 web -o json", 0, "\"roles\": [\n    \"db\"\n  ]", ""},
		{"node role add n1 Web", 1, "", "not a role\n      → a-z"},
		{"node role add n1", 2, "", "<role>"},
	} {
		code, stdout, stderr := try(t, path, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: %d\n%s%s", c.args, code, stdout, stderr)
		}
	}
}
