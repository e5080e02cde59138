package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/ac-mock/client/clienttest"
	"github.com/g8os/g8os/core/api"
)

func dial(t *testing.T, path string) *client.Client {
	t.Helper()
	ctx, err := client.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })
}

// The next AC is asked when the first is not there.
func TestNextAC(t *testing.T) {
	g := clienttest.NewGrid(t)
	gone := httptest.NewServer(says(""))
	gone.Close()
	there := g.AC(says(`[{"id":"020000000001"}]`), time.Now().Add(time.Hour))
	list, err := dial(t, g.Context("default", strings.Replace(gone.URL, "http:", "https:", 1), there)).Nodes(t.Context())
	if err != nil || len(list) != 1 {
		t.Errorf("nodes %v, %v", list, err)
	}
}

// Whoever is not an AC of the grid gets no request, and the error says what to do.
func TestNotAnAC(t *testing.T) {
	g := clienttest.NewGrid(t)
	asked := false
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true })
	portal := httptest.NewTLSServer(h)
	defer portal.Close()
	for _, c := range []struct {
		what, url string
		is        error
		remedy    string
	}{
		{"captive portal", portal.URL, api.ErrNotAC, "check ac and ca"},
		{"AC of another grid", clienttest.NewGrid(t).AC(h, time.Now().Add(time.Hour)), api.ErrNotAC, "check ac and ca"},
		{"AC whose certificate ran out", g.AC(h, time.Now().Add(-time.Hour)), api.ErrTime, "clock"},
		{"nobody", "https://127.0.0.1:1", client.ErrUnreachable, "nothing listens there"},
	} {
		_, err := dial(t, g.Context("default", c.url)).Nodes(t.Context())
		if !errors.Is(err, c.is) || !errors.Is(err, client.ErrUnreachable) || !strings.Contains(client.Remedy(err), c.remedy) {
			t.Errorf("%s: %v (remedy %q)", c.what, err, client.Remedy(err))
		}
	}
	if asked {
		t.Error("a request was made of somebody who is not an AC")
	}
}

func TestFailureCarriesItsRemedy(t *testing.T) {
	g := clienttest.NewGrid(t)
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":"no such node","remedy":"look again"}`)
	})
	_, err := dial(t, g.Context("default", g.AC(h, time.Now().Add(time.Hour)))).Approve(t.Context(), "x/../y")
	if f, ok := errors.AsType[*client.Failure](err); !ok || f.Status != 404 || f.Text != "no such node" || client.Remedy(err) != "look again" {
		t.Errorf("got %#v", err)
	}
}

// A stream that ends without an end is an error, never an exit code.
func TestExecStreamBreaks(t *testing.T) {
	g := clienttest.NewGrid(t)
	for text, want := range map[string]string{
		`{"job":"j"}` + "\n" + `{"stream":"stdout","data":"aGk="}`:              "AC was lost",
		`{"job":"j"}` + "\n" + `{"done":true,"code":-1,"error":"node is away"}`: "node is away",
	} {
		c := dial(t, g.Context("default", g.AC(says(text), time.Now().Add(time.Hour))))
		if _, err := c.Exec(t.Context(), "n", api.ExecRequest{Argv: []string{"x"}}, client.ExecOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Who runs one job after another needs one connection.
func TestConnectionIsUsedAgain(t *testing.T) {
	g := clienttest.NewGrid(t)
	c := dial(t, g.Context("default", g.AC(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `{"job":"j"}`)
		fmt.Fprintln(w, `{"done":true,"state":"success"}`)
		_ = http.NewResponseController(w).Flush()
		time.Sleep(20 * time.Millisecond) // what an AC has still to do
	}), time.Now().Add(time.Hour))))
	var used []bool
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { used = append(used, i.Reused) }})
	for range 3 {
		if code, err := c.Exec(ctx, "n", api.ExecRequest{Argv: []string{"x"}}, client.ExecOptions{}); err != nil || code != 0 {
			t.Fatalf("code %d, %v", code, err)
		}
	}
	if !slices.Equal(used, []bool{false, true, true}) {
		t.Errorf("whether connections were used before: %v", used)
	}
}

// A connection that was kept and turns out dead costs nothing but another one:
// the job is asked for again, and it is the same.
func TestKeptConnectionThatIsDead(t *testing.T) {
	g := clienttest.NewGrid(t)
	var asked []string
	c := dial(t, g.Context("default", g.AC(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req api.JobRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Error(err)
		}
		if asked = append(asked, req.ID); len(asked) == 2 {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintln(w, `{"job":"j"}`)
		fmt.Fprintln(w, `{"done":true,"state":"success"}`)
	}), time.Now().Add(time.Hour))))
	for range 2 {
		if code, err := c.Exec(t.Context(), "n", api.ExecRequest{Argv: []string{"x"}}, client.ExecOptions{}); err != nil || code != 0 {
			t.Fatalf("code %d, %v", code, err)
		}
	}
	if len(asked) != 3 || asked[0] == asked[1] || asked[1] != asked[2] || asked[2] == "" {
		t.Errorf("asked for were %q", asked)
	}
}

func TestFind(t *testing.T) {
	g := clienttest.NewGrid(t)
	config := t.TempDir()
	env := map[string]string{"XDG_CONFIG_HOME": config}
	getenv := func(k string) string { return env[k] }
	path := g.Context("lab1", "https://127.0.0.1:1")
	place := func(name string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.MkdirAll(config+"/g8os", 0o700), os.WriteFile(filepath.Join(config, "g8os", name+".toml"), text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := client.Find(path, getenv); err != nil || c.CA != filepath.Join(filepath.Dir(path), "ca.pem") {
		t.Errorf("by path: %+v, %v", c, err)
	}
	if _, err := client.Find("nowhere", getenv); !errors.Is(err, client.ErrContext) || client.Remedy(err) == "" {
		t.Errorf("a name that is not there: %v (remedy %q)", err, client.Remedy(err))
	}
	if _, err := client.Find(config+"/none.toml", getenv); !errors.Is(err, client.ErrContext) || !strings.Contains(client.Remedy(err), "the path is right") {
		t.Errorf("a file that is not there: %v (remedy %q)", err, client.Remedy(err))
	}
	place("one")
	if c, err := client.Find("one", getenv); err != nil || filepath.Base(c.File) != "one.toml" {
		t.Errorf("by name: %+v, %v", c, err)
	}
	place("default")
	if c, err := client.Find("", getenv); err != nil || filepath.Base(c.File) != "default.toml" {
		t.Errorf("default: %+v, %v", c, err)
	}
	env["G8OS_CONTEXT"] = "one"
	if c, err := client.Find("", getenv); err != nil || filepath.Base(c.File) != "one.toml" {
		t.Errorf("by the environment: %+v, %v", c, err)
	}
}

func TestContextMistakes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.toml")
	whole := "ac=['https://a:1']\nca='a'\ncertificate='b'\nkey='c'\n"
	for text, want := range map[string]string{
		whole + "kee='x'\n":  "c.toml: line 5: kee: no such key; there are ac, ca, certificate, key",
		"ac = ":              "c.toml: line 1",
		"ac=['https://a:1']": "ca is not set",
		strings.Replace(whole, "https", "http", 1):     "is not a URL such as https://",
		strings.Replace(whole, "'https://a:1'", "", 1): "ac is not set",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Load(path); !errors.Is(err, client.ErrContext) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A lab's context is root's; whoever else asks is told whom to be.
func TestContextOfSomebodyElse(t *testing.T) {
	if path := os.Getenv("CLIENT_TEST_AS_NOBODY"); path != "" {
		_, err := client.Load(path)
		if !errors.Is(err, client.ErrContext) || !strings.Contains(client.Remedy(err), "sudo") {
			t.Errorf("%v (remedy %q)", err, client.Remedy(err))
		}
		return
	}
	dir, err := os.MkdirTemp("", "client") // t.TempDir is not open to others
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "lab.toml")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, nil, 0o600), os.WriteFile(dir+"/test", program, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(dir+"/test", "-test.run=^TestContextOfSomebodyElse$")
	cmd.Env, cmd.Dir = append(os.Environ(), "CLIENT_TEST_AS_NOBODY="+path), "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
