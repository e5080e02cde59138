// Package layer brings a layer of the operating system, which is a read-only
// image, from an AC to the node's state disk.
//
// It promises that a file under its final name is whole and is what was asked
// for (SHA-256), whatever was interrupted on the way; that what has arrived is
// not asked for again; that a connection on which nothing comes is given up;
// and that the disk keeps Spare, whatever an AC sends. Which layer the node
// needs was decided when its image was built: hash and size are in the image.
// It mounts nothing: PID 1 does, when the file appears.
package layer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
)

// Suffix of a layer that is whole; PID 1 looks for files of this name.
const Suffix = ".squashfs"

const partSuffix = ".part"

// Stall is how long nothing may come before a connection is given up.
const Stall = 30 * time.Second

// Spare is what stays free on the disk, in bytes: keys, jobs and logs are on it
// as well.
const Spare = 32 << 20

// ErrRoom is wrapped when the disk is too small for the layer.
var ErrRoom = errors.New("the disk has no room for this layer")

// ErrNone is wrapped when the AC does not have the layer.
var ErrNone = errors.New("the AC does not have this layer")

// ErrDamaged is wrapped when what arrived is not what was asked for.
var ErrDamaged = errors.New("the layer arrived damaged")

// Client is a proven connection to an AC with the node's certificate (find.Conn).
type Client interface {
	http.RoundTripper
	URL(path string) string
}

// Layer is one layer, as the image knows it.
type Layer struct {
	Sum  string `json:"tools_sha256"` // SHA-256 in hex
	Size int64  `json:"tools_size"`   // bytes
}

// Wanted says which layer a node lacks: the one that image (the image's
// description of itself) names, unless it is in dir or on another disk of the
// node. A node without dir has no disk to put one on.
func Wanted(image, dir string, mounted bool) (l Layer, wanted bool) {
	if mounted {
		return l, false
	}
	if _, err := os.Stat(dir); err != nil {
		return l, false
	}
	raw, err := os.ReadFile(image)
	if err != nil {
		return l, false // not started from our image
	}
	if json.Unmarshal(raw, &l) != nil || !api.IsLayer(l.Sum) || l.Size <= 0 {
		return Layer{}, false
	}
	st, err := os.Stat(filepath.Join(dir, l.Sum+Suffix))
	return l, err != nil || st.Size() != l.Size
}

// Fetch brings a layer to dir and returns its path. Layers of other images are
// removed once it is there, or before if there is no room for both. It may be
// called again after any error.
func Fetch(ctx context.Context, c Client, l Layer, dir string) (string, error) {
	path := filepath.Join(dir, l.Sum+Suffix)
	if err := FetchFile(ctx, c, l, path); err != nil {
		return "", fmt.Errorf("fetch layer: %w", err)
	}
	removeOthers(dir, l.Sum)
	return path, nil
}

// FetchFile brings anything that an AC has by its SHA-256 to a path, as Fetch
// does. What has arrived of others in that folder is dropped if there is no room.
func FetchFile(ctx context.Context, c Client, l Layer, path string) error {
	dir := filepath.Dir(path)
	part := filepath.Join(dir, l.Sum+partSuffix)
	fail := func(err error) error { return fmt.Errorf("fetch %.12s to %s: %w", l.Sum, dir, err) }
	if err := makeRoom(dir, part, l); err != nil {
		return fail(err)
	}
	if err := download(ctx, c, l, part); err != nil {
		return fail(err)
	}
	if err := verify(part, l.Sum); err != nil {
		return fail(errors.Join(err, os.Remove(part)))
	}
	if err := durable.Rename(durable.OS, part, path); err != nil {
		return fail(err)
	}
	return nil
}

// makeRoom refuses what would fill the disk.
func makeRoom(dir, part string, l Layer) error {
	want := l.Size + Spare
	if st, err := os.Stat(part); err == nil {
		want -= min(st.Size(), l.Size)
	}
	has, err := free(dir)
	if err == nil && has < want {
		removeOthers(dir, l.Sum)
		has, err = free(dir)
	}
	if err == nil && has < want {
		err = fmt.Errorf("%w: it takes %d MiB more, of which %d stay free, and %d are free; give the node a larger state disk", ErrRoom, want>>20, Spare>>20, has>>20)
	}
	return err
}

// free is what a disk has left, in bytes; tests have another one.
var free = func(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// download appends to what is there already.
func download(ctx context.Context, c Client, l Layer, part string) error {
	f, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	ctx, stalled := context.WithCancelCause(ctx)
	defer stalled(nil)
	watch := time.AfterFunc(Stall, func() { stalled(fmt.Errorf("nothing came for %s", Stall)) })
	defer watch.Stop()
	body, err := ask(ctx, c, l.Sum, have)
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	if body == nil { // all of it is here
		return nil
	}
	defer body.Close()
	most := io.LimitReader(body, max(0, l.Size-have)+1) // one too many is enough to be damaged
	if _, err := io.Copy(f, &alive{most, watch}); err != nil {
		return fmt.Errorf("after %d bytes: %w", have, errors.Join(err, context.Cause(ctx)))
	}
	return f.Sync()
}

// ask requests a layer from an offset on. No body means that nothing is left.
func ask(ctx context.Context, c Client, sum string, from int64) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL(api.LayerPath(sum)), nil)
	if err != nil {
		return nil, err
	}
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	resp, err := c.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusPartialContent:
		return resp.Body, nil
	case http.StatusOK:
		if from == 0 {
			return resp.Body, nil
		}
		err = errors.New("the AC answered with the whole layer when a part was asked for")
	case http.StatusRequestedRangeNotSatisfiable:
		err = nil
	case http.StatusNotFound:
		err = ErrNone
	case http.StatusForbidden:
		err = api.ErrRefused
	default:
		err = fmt.Errorf("the AC answered %s", resp.Status)
	}
	_ = resp.Body.Close()
	return nil, err
}

// alive is a body that puts off the watch whenever something comes.
type alive struct {
	io.Reader
	watch *time.Timer
}

func (a *alive) Read(b []byte) (int, error) {
	n, err := a.Reader.Read(b)
	if n > 0 {
		a.watch.Reset(Stall)
	}
	return n, err
}

func verify(path, sum string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if is := hex.EncodeToString(h.Sum(nil)); is != sum {
		return fmt.Errorf("%w: its hash is %.12s; it was removed and will be asked for again", ErrDamaged, is)
	}
	return nil
}

// removeOthers makes room. A layer that is mounted lives on until the reboot.
func removeOthers(dir, sum string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		name, isLayer := strings.CutSuffix(e.Name(), Suffix)
		if !isLayer {
			name, isLayer = strings.CutSuffix(e.Name(), partSuffix)
		}
		if isLayer && name != sum && e.Type()&fs.ModeType == 0 {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
