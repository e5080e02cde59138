// Package supporttest searches support bundles for what must not be in them.
//
// It promises to find a secret as it is, in hex and in base64, whatever it
// stands between; it does not find a secret that was changed otherwise.
package supporttest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"path"
	"strings"
	"testing"
)

// Unpack returns the files of a bundle, by name without folder.
func Unpack(t testing.TB, bundle []byte) map[string]string {
	t.Helper()
	files := map[string]string{}
	for name, text := range Files(t, bundle) {
		files[path.Base(name)] = text
	}
	return files
}

// Files returns the files of a bundle, by name as it is in the archive.
func Files(t testing.TB, bundle []byte) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(bundle))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(text)
	}
}

// Forms are the ways in which a secret may stand in a text. Of PEM, it is what
// is inside. Base64 depends on what stands before: the middle is looked for, at
// each of its three positions.
func Forms(secret []byte) []string {
	if block, _ := pem.Decode(secret); block != nil {
		secret = block.Bytes
	}
	forms := []string{string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret))}
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), secret...))
		middle := text[4 : len(text)-4]
		forms = append(forms, middle, strings.NewReplacer("+", "-", "/", "_").Replace(middle))
	}
	return forms
}

// Clean fails for every one of the secrets that is in one of the files.
func Clean(t testing.TB, files map[string]string, secrets map[string][]byte) {
	t.Helper()
	for what, secret := range secrets {
		if len(secret) < 12 {
			t.Errorf("%s has %d bytes: too few to be looked for", what, len(secret))
			continue
		}
		for _, form := range Forms(secret) {
			for name, text := range files {
				if strings.Contains(text, form) {
					t.Errorf("%s stands in %s", what, name)
				}
			}
		}
	}
}
