package layer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
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

func newAC(t *testing.T, content []byte) (*ac, Layer) {
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
	return a, Layer{name, int64(len(content))}
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
	a, l := newAC(t, content())
	dir := t.TempDir()
	old := filepath.Join(dir, strings.Repeat("a", 64)+Suffix)
	if err := os.WriteFile(old, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	a.breakAt = 50000
	for range 2 {
		if _, err := Fetch(t.Context(), a, l, dir); err == nil {
			t.Fatal("no error from a broken connection")
		}
	}
	a.breakAt = 0
	path, err := Fetch(t.Context(), a, l, dir)
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
	a, l := newAC(t, content())
	a.content[7]++
	dir := t.TempDir()
	if _, err := Fetch(t.Context(), a, l, dir); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	a.content[7]--
	if _, err := Fetch(t.Context(), a, l, dir); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A crash between the last byte and the new name.
func TestFetchTakesAPartThatIsWhole(t *testing.T) {
	a, l := newAC(t, content())
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, l.Sum+partSuffix), a.content, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Fetch(t.Context(), a, l, dir); err != nil {
		t.Error(err)
	}
}

// An AC that sends without end does not fill the disk.
func TestFetchOfWhatIsTooLong(t *testing.T) {
	a, l := newAC(t, content())
	l.Size = 1000
	dir := t.TempDir()
	longest := int64(0)
	verified := Client(watched{a, func() {
		if st, err := os.Stat(filepath.Join(dir, l.Sum+partSuffix)); err == nil {
			longest = max(longest, st.Size())
		}
	}})
	if _, err := Fetch(t.Context(), verified, l, dir); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
	if longest > l.Size+1 {
		t.Errorf("%d bytes on the disk, want at most %d", longest, l.Size+1)
	}
}

// watched looks when the body of an answer is closed.
type watched struct {
	Client
	look func()
}

func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.Client.RoundTrip(r)
	if err == nil {
		resp.Body = closing{resp.Body, w.look}
	}
	return resp, err
}

type closing struct {
	io.ReadCloser
	look func()
}

func (c closing) Close() error { c.look(); return c.ReadCloser.Close() }

// A small disk is not filled; layers of other images make room, what is there
// already counts, and the spare stays.
func TestFetchNeedsRoom(t *testing.T) {
	a, l := newAC(t, content())
	dir := t.TempDir()
	old := filepath.Join(dir, strings.Repeat("a", 64)+Suffix)
	if err := os.WriteFile(old, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	was := free
	t.Cleanup(func() { free = was })
	has := l.Size + Spare - 1
	free = func(string) (int64, error) {
		if _, err := os.Stat(old); err == nil {
			return 0, nil
		}
		return has, nil
	}
	if _, err := Fetch(t.Context(), a, l, dir); !errors.Is(err, ErrRoom) || len(a.requests) != 0 {
		t.Errorf("got %v, after %d requests", err, len(a.requests))
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old layer: %v, want it gone", err)
	}
	if err := os.WriteFile(filepath.Join(dir, l.Sum+partSuffix), a.content[:1], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Fetch(t.Context(), a, l, dir); err != nil {
		t.Errorf("with a byte less to fetch: %v", err)
	}
}

func TestFetchOfWhatTheACLacks(t *testing.T) {
	a, _ := newAC(t, content())
	if _, err := Fetch(t.Context(), a, Layer{strings.Repeat("b", 64), 1}, t.TempDir()); !errors.Is(err, ErrNone) {
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
	is := func(what string, mounted bool, dir, want string) {
		t.Helper()
		got := ""
		if l, wanted := Wanted(image, dir, mounted); wanted {
			got = l.Sum
		}
		if got != want {
			t.Errorf("%s: wants %q, want %q", what, got, want)
		}
	}
	is("not our image", false, dir, "")
	write("{")
	is("damaged description", false, dir, "")
	write(`{"tools_sha256":"../../etc/shadow"}`)
	is("hash that is none", false, dir, "")
	write(`{"tools_sha256":"` + sum + `"}`)
	is("no size", false, dir, "")
	write(`{"tools_sha256":"` + sum + `","tools_size":7}`)
	is("nothing there", false, dir, sum)
	is("mounted from another disk", true, dir, "")
	is("no state disk", false, filepath.Join(dir, "none"), "")
	for content, want := range map[string]string{"7 bytes": "", "cut off by a sick disk": sum} {
		if err := os.WriteFile(filepath.Join(dir, sum+Suffix), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		is("there already: "+content, false, dir, want)
	}
}
