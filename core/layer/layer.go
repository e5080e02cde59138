// Package layer brings a layer of the operating system, which is a read-only
// image, from an AC to the node's state disk.
//
// It promises that a file under its final name is whole and is what was asked
// for (SHA-256), whatever was interrupted on the way; that what has arrived is
// not asked for again; and that a connection on which nothing comes is given
// up. Which layer the node needs was decided when its image was built: the
// hash is in the image. It mounts nothing: PID 1 does, when the file appears.
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

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
)

// Suffix of a layer that is whole; PID 1 looks for files of this name.
const Suffix = ".squashfs"

const partSuffix = ".part"

// Stall is how long nothing may come before a connection is given up.
const Stall = 30 * time.Second

// ErrNone is wrapped when the AC does not have the layer.
var ErrNone = errors.New("the AC does not have this layer")

// ErrDamaged is wrapped when what arrived is not what was asked for.
var ErrDamaged = errors.New("the layer arrived damaged")

// Client is a proven connection to an AC with the node's certificate (find.Conn).
type Client interface {
	http.RoundTripper
	URL(path string) string
}

// Wanted says which layer, by its SHA-256 in hex, a node lacks: the one that
// image (the image's description of itself) names, unless it is in dir or on
// another disk of the node. Empty: none. A node without dir has no disk to put
// one on.
func Wanted(image, dir string, mounted bool) string {
	if mounted {
		return ""
	}
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	raw, err := os.ReadFile(image)
	if err != nil {
		return "" // not started from our image
	}
	var is struct {
		Tools string `json:"tools_sha256"`
	}
	if json.Unmarshal(raw, &is) != nil || !api.IsLayer(is.Tools) {
		return ""
	}
	if _, err := os.Stat(filepath.Join(dir, is.Tools+Suffix)); err == nil {
		return ""
	}
	return is.Tools
}

// Fetch brings a layer to dir and returns its path. Layers of other images are
// removed once it is there. It may be called again after any error.
func Fetch(ctx context.Context, c Client, sum, dir string) (string, error) {
	path := filepath.Join(dir, sum+Suffix)
	part := filepath.Join(dir, sum+partSuffix)
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("fetch layer %.12s to %s: %w", sum, dir, err)
	}
	if err := download(ctx, c, sum, part); err != nil {
		return fail(err)
	}
	if err := verify(part, sum); err != nil {
		return fail(errors.Join(err, os.Remove(part)))
	}
	if err := durable.Rename(part, path); err != nil {
		return fail(err)
	}
	removeOthers(dir, sum)
	return path, nil
}

// download appends to what is there already.
func download(ctx context.Context, c Client, sum, part string) error {
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
	body, err := ask(ctx, c, sum, have)
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	if body == nil { // all of it is here
		return nil
	}
	defer body.Close()
	if _, err := io.Copy(f, &alive{body, watch}); err != nil {
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
