package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/g8os/g8os/ci/image/lock"
)

var content = []byte(strings.Repeat("what a package has in it\n", 4000))

var resolved = time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)

func pinned(name string) lock.Package {
	sum := sha256.Sum256(content)
	return lock.Package{Name: name, Version: "1", Arch: "all", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Archive: "debian", Path: "pool/" + name + ".deb"}
}

// served returns a cache whose archive is handled by h.
func served(t *testing.T, h http.HandlerFunc) *Cache {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := New(t.TempDir(), server.URL, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *Cache) try(t *testing.T, p lock.Package) error {
	t.Helper()
	return c.Fetch(t.Context(), lock.Lock{Resolved: resolved}, []lock.Package{p})
}

func demandEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("the cache holds %v, %v; want nothing", left, err)
	}
}

func TestFetchedOnce(t *testing.T) {
	var asked atomic.Int32
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/debian/pool/a.deb" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.Write(content)
	})
	for range 2 {
		if err := c.try(t, pinned("a")); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(c.Path(pinned("a"))); err != nil || string(got) != string(content) {
		t.Errorf("the cache has %d bytes, %v", len(got), err)
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times, want once", asked.Load())
	}
}

func TestWhatArchivesDo(t *testing.T) {
	for name, c := range map[string]struct {
		archive http.HandlerFunc
		says    []string
	}{
		"replaced":    {http.NotFound, []string{"a 1 cannot be had", "G8OS_ARCHIVE=snapshot", "make image-lock"}},
		"broken":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, []string{"503", "another one", "G8OS_ARCHIVE=http"}},
		"other bytes": {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(strings.ToUpper(string(content)))) }, []string{"not what the lock says"}},
		"more bytes": {func(w http.ResponseWriter, _ *http.Request) {
			w.Write(append(content[:len(content):len(content)], 'x'))
		}, []string{"not what the lock says"}},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			w.Write(content[:7])
		}, []string{"after 7 bytes"}},
		"a login page": {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>log in</html>")) }, []string{"not what the lock says"}},
	} {
		t.Run(name, func(t *testing.T) {
			cache := served(t, c.archive)
			err := cache.try(t, pinned("a"))
			if err == nil {
				t.Fatal("taken")
			}
			for _, s := range c.says {
				if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(s)) {
					t.Errorf("%q is not said by: %v", s, err)
				}
			}
			demandEmpty(t, cache.Dir)
		})
	}
}

func TestNobodyThere(t *testing.T) {
	c, err := New(t.TempDir(), "http://127.0.0.1:1", func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.try(t, pinned("a")); err == nil || !strings.Contains(err.Error(), "is the archive reachable?") {
		t.Errorf("got %v, want a question for the archive", err)
	}
	demandEmpty(t, c.Dir)
}

func TestBrokenOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(content[:100])
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	if err := c.Fetch(ctx, lock.Lock{Resolved: resolved}, []lock.Package{pinned("a")}); err == nil {
		t.Error("a download that was broken off is taken")
	}
	demandEmpty(t, c.Dir)
}

// A package that was damaged in the cache, or exchanged, is fetched again.
func TestDamagedInTheCache(t *testing.T) {
	c := served(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(content) })
	for what, damaged := range map[string][]byte{"cut off": content[:10], "of the right length": bytes.Repeat([]byte("x"), len(content))} {
		if err := os.WriteFile(c.Path(pinned("a")), damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := c.try(t, pinned("a")); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(c.Path(pinned("a"))); !bytes.Equal(got, content) {
			t.Errorf("%s: the cache still has it", what)
		}
	}
}

func TestAddress(t *testing.T) {
	for _, c := range []struct{ base, want string }{
		{"http://a.example/debian", "http://a.example/debian/pool/a.deb"},
		{"http://a.example/debian-security", ""},
		{snapshot, "https://snapshot.debian.org/archive/debian/20261123T010203Z/pool/a.deb"},
	} {
		if got, _ := address(c.base, resolved, pinned("a")); got != c.want {
			t.Errorf("%s gives %q, want %q", c.base, got, c.want)
		}
	}
}
