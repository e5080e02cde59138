package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/audit/chain"
	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/ac-mock/client/clienttest"
	"github.com/g8os/g8os/core/api"
)

// trusting answers as an AC with tokens, operators, recovery keys and an audit.
type trusting struct {
	t     *testing.T
	audit api.AuditChain
	asked api.OperatorRequest
	sign  func(csr []byte) (chain, root []byte)
}

func (a *trusting) answer(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		a.t.Error(err)
	}
}

func (a *trusting) handler() http.Handler {
	mux, soon := http.NewServeMux(), time.Now().Add(10*time.Minute+59*time.Second)
	token := api.JoinToken{ID: "0011aabb", State: "good", By: "spiffe://lab/operator/admin.ann", Created: time.Now(), Expires: soon, Uses: 3, Left: 2}
	mux.HandleFunc("GET "+api.PathTokens, func(w http.ResponseWriter, _ *http.Request) { a.answer(w, 200, []api.JoinToken{token}) })
	mux.HandleFunc("POST "+api.PathTokens, func(w http.ResponseWriter, r *http.Request) {
		var q api.TokenRequest
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			a.t.Error(err)
		}
		if q.Uses == 0 {
			a.answer(w, 400, api.Failure{Error: "join token for 0 machines", Remedy: "say --uses"})
			return
		}
		a.answer(w, 200, api.TokenMade{JoinToken: token, Token: api.Secret("g8t-text")})
	})
	mux.HandleFunc("DELETE "+api.PathToken, func(w http.ResponseWriter, _ *http.Request) {
		was := token
		was.State = "revoked"
		a.answer(w, 200, was)
	})
	mux.HandleFunc("POST "+api.PathRecovery, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "again=1" {
			a.answer(w, 409, api.Failure{Error: "it was shown to ann", Remedy: "ask with --again"})
			return
		}
		a.answer(w, 200, api.Recovery{NodeID: "020000000001", Name: "n1", Key: bytes.Repeat([]byte{7}, 32)})
	})
	bob := api.Operator{Name: "bob", Role: "operator", State: "active", By: "spiffe://lab/operator/admin.ann", Created: time.Now(), Expires: soon, Serials: []string{"1", "2"}}
	mux.HandleFunc("GET "+api.PathOperators, func(w http.ResponseWriter, _ *http.Request) { a.answer(w, 200, []api.Operator{bob}) })
	mux.HandleFunc("POST "+api.PathOperators, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&a.asked); err != nil {
			a.t.Error(err)
		}
		if a.asked.Name == "vic" {
			a.answer(w, 403, api.Failure{Error: "not of a level that may do this", Remedy: "ask an operator with a higher level"})
			return
		}
		made := api.OperatorMade{Operator: bob}
		made.Chain, made.Root = a.sign(a.asked.CSR)
		a.answer(w, 200, made)
	})
	mux.HandleFunc("DELETE "+api.PathOperator, func(w http.ResponseWriter, _ *http.Request) {
		was := bob
		was.State = "revoked"
		a.answer(w, 200, was)
	})
	mux.HandleFunc("GET "+api.PathAuditChain, func(w http.ResponseWriter, r *http.Request) {
		part := a.audit
		if r.URL.Query().Get("after") != "0" {
			part.Entries = nil
		}
		a.answer(w, 200, part)
	})
	return mux
}

func audited(t *testing.T, entries int) (c api.AuditChain) {
	t.Helper()
	for range entries {
		raw, next, err := chain.Append(c.Head, api.AuditEntry{Action: "unlock"})
		if err != nil {
			t.Fatal(err)
		}
		c.Head, c.Entries = next, append(c.Entries, raw)
	}
	return c
}

func TestTrustCommands(t *testing.T) {
	g := clienttest.NewGrid(t)
	a := &trusting{t: t, audit: audited(t, 5), sign: g.Sign}
	a.audit.Waiting = 2
	path := g.Context("default", g.AC(a.handler(), time.Now().Add(time.Hour)))
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("garbage.csr", []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := api.FormatRecovery(bytes.Repeat([]byte{7}, 32))
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"token create", 0, "g8t-text\n", "join token 0011aabb, for 3 machines"},
		{"token create --for 1h --uses 3 -o json", 0, `"token": "g8t-text"`, ""},
		{"token create --uses 0", 1, "", "→ say --uses"},
		{"token create --for soon", 2, "", "--for"},
		{"token list", 0, "0011aabb  good   2 of 3  for 10m", ""},
		{"token list -o json", 0, `"left": 2`, ""},
		{"token revoke 0011aabb", 0, "is revoked, 2 of 3 uses were left", ""},
		{"recovery show n1", 1, "", "it was shown to ann"},
		{"recovery show n1 --again", 0, key + "\n", "recovery key of n1"},
		{"recovery show n1 --again -o json", 0, `"key": "` + key + `"`, ""},
		{"operator list", 0, "bob   operator  active  for 10m", ""},
		{"operator revoke bob", 0, "bob (operator) is revoked: 2 certificates do not count any more", ""},
		{"operator add bob", 2, "", "--role"},
		{"operator add bob --role root", 2, "", "root"},
		{"operator add bob --role operator --csr missing.csr", 2, "", "missing.csr"},
		{"operator add bob --role operator --csr garbage.csr", 2, "", "openssl req -new"},
		{"operator add vic --role admin", 1, "", "higher level"},
		{"operator add bob --role operator", 0, "credentials and context are in bob", ""},
		{"operator add bob --role operator", 2, "", "--out"},
		{"audit verify", 0, "whole: 5 entries, 1 to 5, and 2 that are not tied to it yet\nmark   " + a.audit.Head.String(), ""},
		{"audit verify -o json", 0, `"mark": "5:`, ""},
		{"audit verify --noted " + a.audit.Head.String(), 0, "whole", ""},
		{"audit verify --noted 9:" + a.audit.Head.Hash, 1, "", "the newest are missing"},
		{"audit verify --noted nonsense", 2, "", "NUMBER:HASH"},
	} {
		code, stdout, stderr := try(t, path, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || c.stdout == "" && c.code == 1 && stdout != "" {
			t.Errorf("%s: %d\n%s%s", c.args, code, stdout, stderr)
		}
	}
	if _, err := os.Stat("vic"); err == nil {
		t.Error("who was not let in has a folder")
	}
	if a.asked.Role != "operator" || a.asked.ForMS != (365*24*time.Hour).Milliseconds() {
		t.Errorf("asked for %+v", a.asked)
	}
	made, err := client.Load(filepath.Join(dir, "bob", "bob.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(made.Certificate, made.Key); err != nil {
		t.Errorf("key and certificate do not go together: %v", err)
	}
	if code, stdout, stderr := try(t, made.File, "operator", "list"); code != 0 {
		t.Errorf("with his own context: %d %s%s", code, stdout, stderr)
	}
}

// What was done to the audit is found by the client, whatever the AC says.
func TestBrokenAudit(t *testing.T) {
	g := clienttest.NewGrid(t)
	a := &trusting{t: t, audit: audited(t, 5)}
	a.audit.Entries[2] = json.RawMessage(strings.Replace(string(a.audit.Entries[2]), "unlock", "onlock", 1))
	path := g.Context("default", g.AC(a.handler(), time.Now().Add(time.Hour)))
	code, stdout, stderr := try(t, path, "audit", "verify")
	if code != 1 || stdout != "" || !strings.Contains(stderr, "entry 4 does not continue entry 3") {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
}
