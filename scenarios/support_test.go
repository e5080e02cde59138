package scenarios

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// secretsOf is every secret of a lab that lies on a disk or can be made: what
// the AC keeps apart from its data, the nodes' device keys, what they have in
// their volumes, their recovery keys, and a join token.
func (g *grid) secretsOf(ctx context.Context) map[string]string {
	GinkgoHelper()
	all := map[string]string{"a join token": g.done(ctx, "", "token", "create", "--for", "10m", "--uses", "1")}
	ac := g.AC("ac1").Dir()
	ok(filepath.WalkDir(ac, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(file, filepath.Join(ac, "data")) || !strings.Contains(d.Name(), "key") {
			return err
		}
		text, err := os.ReadFile(file)
		all[file] = string(text)
		return err
	}))
	for _, n := range g.Nodes() {
		all["the recovery key of "+n.Name()] = g.done(ctx, "", "recovery", "show", n.Name())
		find := "ls /etc/g8os/device.key; find /mnt/etc -type f -name '*key*' ! -name '*.pub' ! -name authorized_keys"
		for _, file := range strings.Fields(g.inside(ctx, n.Name(), "sh", "-c", find)) {
			all[n.Name()+":"+file] = g.inside(ctx, n.Name(), "cat", file)
		}
	}
	return all
}

// forms are the ways in which a secret may stand in a text; of PEM, it is what is inside.
func forms(secret string) []string {
	raw := []byte(strings.TrimSpace(secret))
	if block, _ := pem.Decode(raw); block != nil {
		raw = block.Bytes
	}
	all := []string{string(raw), hex.EncodeToString(raw)}
	for shift := range 3 { // base64 depends on what stands before
		text := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), raw...))
		all = append(all, text[4:len(text)-4])
	}
	return all
}

// unpacked is the text of a gzipped tar file's files, by base name.
func unpacked(bundle []byte) map[string]string {
	GinkgoHelper()
	zip, err := gzip.NewReader(bytes.NewReader(bundle))
	ok(err)
	files := map[string]string{}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		ok(err)
		part, err := io.ReadAll(r)
		ok(err)
		files[filepath.Base(h.Name)] = string(part)
	}
}

var _ = Describe("a support bundle", netns, vm, func() {
	It("has what an AC knows of itself, and no secret of the grid", func(ctx SpecContext) {
		g := up(ctx, pair)
		g.managed(ctx)
		secrets := g.secretsOf(ctx)
		Expect(len(secrets)).To(BeNumerically(">=", 9), "%v", slices.Sorted(maps.Keys(secrets)))
		file := filepath.Join(GinkgoT().TempDir(), "bundle.tgz")
		g.done(ctx, "", "support-bundle", file)
		bundle, err := os.ReadFile(file)
		ok(err)
		files := unpacked(bundle)
		for name, holds := range map[string]string{
			"log.txt": "msg=serving", "config.json": "ac1", "version.json": "go1", "nodes.json": "node-1", "faults.json": "[", "acs.json": "ac1",
			"audit.json": "unlock", "metrics.txt": "g8os_ac_sessions 2\n", "goroutines.txt": "goroutine profile",
		} {
			Expect(files).To(HaveKeyWithValue(name, ContainSubstring(holds)))
		}
		for what, secret := range secrets {
			Expect(len(strings.TrimSpace(secret))).To(BeNumerically(">=", 12), "%s is too short to be looked for", what)
			for _, form := range forms(secret) {
				for name, text := range files {
					Expect(strings.Contains(text, form)).To(BeFalse(), "%s stands in %s", what, name)
				}
			}
		}
	}, patience)
})
