// Package archive fetches the packages of a lock from a Debian archive into a
// cache.
//
// It promises that a file in the cache is whole and has the SHA-256 of the
// lock, whatever was interrupted; that nothing is fetched twice; and that what
// cannot be had is said in one line with what to do. The lock's hashes are what
// is trusted: the archive, the way to it and the cache are not.
package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/g8os/g8os/ci/image/lock"
)

// At once are so many downloads; more is unkind to the archive.
const atOnce = 6

// silence is how long an archive may say nothing before it is given up.
const silence = 30 * time.Second

// snapshot keeps what Debian's own archive has replaced.
const snapshot = "https://snapshot.debian.org/archive/{archive}/{time}"

// A Cache is a folder of packages, and where they come from.
type Cache struct {
	Dir   string
	Bases []string // addresses of archives; {archive} and {time} are filled in
	Say   func(string)
}

// New returns a cache in dir. from is where packages come from: "" is this
// machine's apt sources, "snapshot" Debian's collection of all there ever was,
// else an address, in which {archive} is debian or debian-security; without
// {archive} that is put behind it.
func New(dir, from string, say func(string)) (*Cache, error) {
	c := &Cache{Dir: dir, Say: say}
	switch {
	case from == "snapshot":
		c.Bases = []string{snapshot}
	case strings.Contains(from, "{archive}"):
		c.Bases = []string{from}
	case from != "":
		c.Bases = []string{strings.TrimSuffix(from, "/") + "/{archive}"}
	default:
		sources, err := lock.Sources("/etc/apt")
		if err != nil {
			return nil, fmt.Errorf("%w; or set G8OS_ARCHIVE", err)
		}
		for _, s := range sources {
			c.Bases = append(c.Bases, s.URI)
		}
		slices.Sort(c.Bases)
		c.Bases = slices.Compact(c.Bases)
	}
	return c, os.MkdirAll(dir, 0o755)
}

// Path is where a package is when it was fetched.
func (c *Cache) Path(p lock.Package) string {
	return filepath.Join(c.Dir, p.SHA256+".deb")
}

// Fetch brings all packages of the lock that are missing into the cache.
func (c *Cache) Fetch(ctx context.Context, l lock.Lock, packages []lock.Package) error {
	var missing []lock.Package
	var total int64
	for _, p := range packages {
		if !c.has(p) {
			missing = append(missing, p)
			total += p.Size
		}
	}
	if len(missing) == 0 {
		return nil
	}
	c.Say(fmt.Sprintf("fetching %d packages, %s, from %s", len(missing), mega(total), strings.Join(c.Bases, ", ")))
	m := newMeter(total, c.Say)
	defer m.stop()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, p := range missing {
		g.Go(func() error { return c.fetch(ctx, l, p, m) })
	}
	return g.Wait()
}

// has says that a package is in the cache, and is what it was when it came.
func (c *Cache) has(p lock.Package) bool {
	f, err := os.Open(c.Path(p))
	if err != nil {
		return false
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	return err == nil && n == p.Size && hex.EncodeToString(sum.Sum(nil)) == p.SHA256
}

func (c *Cache) fetch(ctx context.Context, l lock.Lock, p lock.Package, m *meter) error {
	var failed []error
	for _, base := range c.Bases {
		url, fits := address(base, l.Resolved, p)
		if !fits {
			continue
		}
		err := c.download(ctx, url, p, m)
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		failed = append(failed, err)
	}
	if failed == nil {
		failed = append(failed, fmt.Errorf("no archive in /etc/apt ends in /%s", p.Archive))
	}
	return fmt.Errorf("package %s %s cannot be had: %w\n%s", p.Name, p.Version, errors.Join(failed...), remedy(failed))
}

func remedy(failed []error) string {
	if slices.ContainsFunc(failed, func(err error) bool { return errors.Is(err, errGone) }) {
		return "the archive has replaced this version: G8OS_ARCHIVE=snapshot makes the same image from Debian's snapshots, make image-lock takes what the archive has now"
	}
	return "is the archive reachable? Another one: G8OS_ARCHIVE=http://HOST/… (below it /debian and /debian-security), or G8OS_ARCHIVE=snapshot"
}

var errGone = errors.New("not there")

// address fills a base in. One without {archive} is the address of one archive
// and fits only packages of that.
func address(base string, resolved time.Time, p lock.Package) (url string, fits bool) {
	if !strings.Contains(base, "{archive}") && !strings.HasSuffix(base, "/"+p.Archive) {
		return "", false
	}
	base = strings.NewReplacer("{archive}", p.Archive, "{time}", resolved.UTC().Format("20060102T150405Z")).Replace(base)
	return base + "/" + strings.ReplaceAll(p.Path, ":", "%3a"), true
}

// download writes aside, checks, and only then gives the file its name.
func (c *Cache) download(ctx context.Context, url string, p lock.Package, m *meter) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(silence, func() { cancel(fmt.Errorf("%s: said nothing for %s", url, silence)) })
	defer watch.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone {
		return fmt.Errorf("%s: %w (%s)", url, errGone, resp.Status)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	f, err := os.CreateTemp(c.Dir, ".part-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	sum := sha256.New()
	body := io.TeeReader(io.LimitReader(resp.Body, p.Size+1), &beat{watch, m})
	n, err := io.Copy(io.MultiWriter(f, sum), body)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: after %d bytes: %w", url, n, errors.Join(err, context.Cause(ctx)))
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != p.Size || got != p.SHA256 {
		return fmt.Errorf("%s is not what the lock says: %d bytes, SHA-256 %s; the lock says %d, %s", url, n, got, p.Size, p.SHA256)
	}
	return os.Rename(f.Name(), c.Path(p))
}

// beat puts the watch back and counts, whenever bytes came.
type beat struct {
	watch *time.Timer
	m     *meter
}

func (b *beat) Write(p []byte) (int, error) {
	b.watch.Reset(silence)
	b.m.add(len(p))
	return len(p), nil
}

func mega(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
