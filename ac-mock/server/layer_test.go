package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/g8os/g8os/ac-mock/layers"
	"github.com/g8os/g8os/core/api"
)

func TestALayerIsForNodesWithACertificate(t *testing.T) {
	dir := t.TempDir()
	content := bytes.Repeat([]byte("layer"), 100000)
	must(t, os.WriteFile(filepath.Join(dir, "tools.squashfs"), content, 0o644))
	all, err := layers.Open(dir)
	must(t, err)
	r := newRig(t, func(o *Options) { o.Layer = all.Find })
	raw := sha256.Sum256(content)
	sum := hex.EncodeToString(raw[:])

	get := func(n *fakeNode, path, part string) (int, []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url(path), nil)
		must(t, err)
		if part != "" {
			req.Header.Set("Range", part)
		}
		resp, err := n.http.Do(req)
		must(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		return resp.StatusCode, body
	}
	n := newNode(r, 1)
	if code, _ := get(n, api.LayerPath(sum), ""); code != http.StatusForbidden {
		t.Errorf("without a certificate: %d, want it refused", code)
	}
	own := n.climb()
	n.connect(own)
	if code, body := get(n, api.LayerPath(sum), ""); code != http.StatusOK || !bytes.Equal(body, content) {
		t.Errorf("whole: %d, %d bytes", code, len(body))
	}
	if code, body := get(n, api.LayerPath(sum), "bytes=499990-"); code != http.StatusPartialContent || string(body) != "layerlayer" {
		t.Errorf("the rest: %d, %q", code, body)
	}
	other := hex.EncodeToString(make([]byte, 32))
	for _, path := range []string{api.LayerPath(other), api.LayerPath("tools.squashfs")} {
		if code, _ := get(n, path, ""); code != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, code)
		}
	}
}
