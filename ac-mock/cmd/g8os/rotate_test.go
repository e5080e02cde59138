package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/client/clienttest"
	"github.com/g8os/g8os/core/api"
)

// turning answers as an AC whose rotations are over when they have been asked
// for so often.
func turning(t *testing.T, asked *[]string) http.Handler {
	started := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	now := func(k api.RotateKind, over bool) api.Rotation {
		r := api.Rotation{
			ID: "r1", Kind: k, Started: started, Counts: map[api.RotateState]int{api.RotateRemoved: 1, api.RotateWaiting: 1},
			Holders: []api.RotateHolder{{Node: "020000000001", Name: "n1", State: api.RotateWaiting, Why: "it is away"}},
		}
		if over {
			r.Done, r.Holders, r.Counts = &started, nil, map[api.RotateState]int{api.RotateRemoved: 2}
		}
		return r
	}
	answer := func(w http.ResponseWriter, v any) {
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux, looked := http.NewServeMux(), 0
	mux.HandleFunc("POST "+api.PathRotations, func(w http.ResponseWriter, r *http.Request) {
		var q api.RotateRequest
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		text, _ := json.Marshal(q)
		*asked = append(*asked, string(text))
		answer(w, now(q.Kind, false))
	})
	mux.HandleFunc("GET "+api.PathRotations, func(w http.ResponseWriter, _ *http.Request) {
		looked++
		answer(w, []api.Rotation{now(api.RotateUnlock, looked%2 == 0)})
	})
	mux.HandleFunc("POST "+api.PathRotation, func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.PathValue("kind")+" "+r.PathValue("do"))
		answer(w, now(api.RotateKind(r.PathValue("kind")), false))
	})
	return mux
}

func TestRotate(t *testing.T) {
	var asked []string
	g := clienttest.NewGrid(t)
	path := g.Context("default", g.AC(turning(t, &asked), time.Now().Add(time.Hour)))
	for _, c := range []struct {
		args   string
		code   int
		asks   string // what the AC was asked for; empty: for nothing
		stdout string
		stderr string
	}{
		{"rotate unlock --all", 0, `{"kind":"unlock"}`, "n1                       unlock  waiting  it is away", ""},
		{"rotate cert n1 n2", 0, `{"kind":"cert","nodes":["n1","n2"]}`, "under way", ""},
		{"rotate ssh --all --overlap 24h", 0, `{"kind":"ssh","overlap_ms":86400000}`, "ssh", ""},
		{"rotate ca", 0, `{"kind":"ca"}`, "ca", ""},
		{"rotate master -o json", 0, `{"kind":"master"}`, `"why": "it is away"`, ""},
		{"rotate unlock --all --watch", 0, `{"kind":"unlock"}`, "over", ""},
		{"rotate status", 0, "", "it is away", ""},
		{"rotate pause unlock", 0, "unlock pause", "unlock", ""},
		{"rotate resume unlock", 0, "unlock resume", "unlock", ""},
		{"rotate unlock", 2, "", "", "name nodes, or say --all"},
		{"rotate unlock n1 --all", 2, "", "", "not both"},
		{"rotate master n1", 2, "", "", "n1"},
		{"rotate pause passwords", 2, "", "", "passwords"},
	} {
		asked = nil
		code, stdout, stderr := try(t, path, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || strings.Join(asked, " ") != c.asks {
			t.Errorf("g8os %s: exit %d, asked for %v\n%s%s", c.args, code, asked, stdout, stderr)
		}
	}
}
