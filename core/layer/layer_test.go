package layer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

// ac serves one layer, and can break off.
type ac struct {
	*httptest.Server
	content  []byte
	breakAt  int // bytes of each answer, 0: all
	requests []string
}

func (a *ac) RoundTrip(r *http.Request) (*http.Response, error) {
	return http.DefaultTransport.RoundTrip(r)
}
func (a *ac) URL(path string) string { return a.Server.URL + path }

func newAC(t *testing.T, content []byte) (*ac, string) {
	sum := sha256.Sum256(content)
	name := hex.EncodeToString(sum[:])
	a := &ac{content: content}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.requests = append(a.requests, r.Header.Get("Range"))
		if r.URL.Path != api.LayerPath(name) {
			http.NotFound(w, r)
			return
		}
		if a.breakAt > 0 {
			w = &breaking{w, a.breakAt}
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
	}))
	t.Cleanup(a.Close)
	return a, name
}

// breaking ends the connection after some bytes.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	n, _ := b.ResponseWriter.Write(p[:min(len(p), b.left)])
	if b.left -= n; b.left == 0 {
		panic(http.ErrAbortHandler)
	}
	return n, nil
}

func content() []byte { return bytes.Repeat([]byte("squash"), 20000) }

func TestFetchResumesAndMakesRoom(t *testing.T) {
	a, sum := newAC(t, content())
	dir := t.TempDir()
	old := filepath.Join(dir, strings.Repeat("a", 64)+Suffix)
	if err := os.WriteFile(old, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	a.breakAt = 50000
	for range 2 {
		if _, err := Fetch(t.Context(), a, sum, dir); err == nil {
			t.Fatal("no error from a broken connection")
		}
	}
	a.breakAt = 0
	path, err := Fetch(t.Context(), a, sum, dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, a.content) {
		t.Errorf("%d bytes, want %d", len(got), len(a.content))
	}
	if want := []string{"", "bytes=50000-", "bytes=100000-"}; strings.Join(a.requests, ",") != strings.Join(want, ",") {
		t.Errorf("asked for %q, want %q", a.requests, want)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old layer: %v, want it gone", err)
	}
}

func TestFetchRefusesWhatIsDamaged(t *testing.T) {
	a, sum := newAC(t, content())
	a.content[7]++
	dir := t.TempDir()
	if _, err := Fetch(t.Context(), a, sum, dir); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	a.content[7]--
	if _, err := Fetch(t.Context(), a, sum, dir); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A crash between the last byte and the new name.
func TestFetchTakesAPartThatIsWhole(t *testing.T) {
	a, sum := newAC(t, content())
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, sum+partSuffix), a.content, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Fetch(t.Context(), a, sum, dir); err != nil {
		t.Error(err)
	}
}

func TestFetchOfWhatTheACLacks(t *testing.T) {
	a, _ := newAC(t, content())
	if _, err := Fetch(t.Context(), a, strings.Repeat("b", 64), t.TempDir()); !errors.Is(err, ErrNone) {
		t.Errorf("got %v", err)
	}
}

func TestWanted(t *testing.T) {
	sum := strings.Repeat("c", 64)
	dir := t.TempDir()
	image := filepath.Join(t.TempDir(), "image.json")
	write := func(text string) {
		if err := os.WriteFile(image, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	is := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: wants %q, want %q", what, got, want)
		}
	}
	is("not our image", Wanted(image, dir, false), "")
	write("{")
	is("damaged description", Wanted(image, dir, false), "")
	write(`{"tools_sha256":"../../etc/shadow"}`)
	is("hash that is none", Wanted(image, dir, false), "")
	write(`{"tools_sha256":"` + sum + `"}`)
	is("nothing there", Wanted(image, dir, false), sum)
	is("mounted from another disk", Wanted(image, dir, true), "")
	is("no state disk", Wanted(image, filepath.Join(dir, "none"), false), "")
	if err := os.WriteFile(filepath.Join(dir, sum+Suffix), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	is("there already", Wanted(image, dir, false), "")
}
