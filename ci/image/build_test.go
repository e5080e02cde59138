package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/g8os/g8os/ci/image/tree"
)

func quiet(string) {}

func demand(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want %q", err, says)
	}
}

func list(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".lock") {
			names = append(names, f.Name())
		}
	}
	return strings.Join(names, " ")
}

func TestMadeOnce(t *testing.T) {
	b := Build{Cache: t.TempDir(), Say: quiet}
	key := strings.Repeat("k", 64)
	made := 0
	for range 2 {
		dir, err := b.made(t.Context(), "base", key, func(dir string) error {
			made++
			return os.WriteFile(filepath.Join(dir, "x"), nil, 0o644)
		})
		must(t, err)
		if got := list(t, dir); got != "x" {
			t.Errorf("the folder has %q", got)
		}
	}
	if made != 1 || !b.isMade("base", key) || b.isMade("tools", key) {
		t.Errorf("made %d times, want once", made)
	}
}

func TestNothingHalfMade(t *testing.T) {
	b := Build{Cache: t.TempDir(), Say: quiet}
	top := filepath.Join(b.Cache, "made")
	must(t, os.MkdirAll(filepath.Join(top, ".base-killed"), 0o755)) // of a build that was killed
	_, err := b.made(t.Context(), "base", strings.Repeat("k", 64), func(dir string) error {
		must(t, os.WriteFile(filepath.Join(dir, "half"), nil, 0o644))
		return fmt.Errorf("writing: %w", syscall.ENOSPC)
	})
	demand(t, err, "make room, or put the cache elsewhere with G8OS_CACHE=DIR")
	if twice := explain(err, b.Out); twice.Error() != err.Error() {
		t.Errorf("said twice: %v", twice)
	}
	if got := list(t, top); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

func TestOldMakingsGo(t *testing.T) {
	b := Build{Cache: t.TempDir(), Say: quiet}
	for i := range keepMade + 3 {
		dir, err := b.made(t.Context(), "base", fmt.Sprintf("%064d", i)[44:]+strings.Repeat("0", 44), func(string) error { return nil })
		must(t, err)
		old := time.Unix(int64(1000+i), 0)
		must(t, os.Chtimes(dir, old, old))
	}
	if got := strings.Fields(list(t, filepath.Join(b.Cache, "made"))); len(got) != keepMade {
		t.Errorf("kept %d, want %d: %v", len(got), keepMade, got)
	}
}

// Who waits for another build is told so, and can be broken off.
func TestWaitsForAnotherBuild(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	said := 0
	b := Build{Say: func(string) { said++; cancel() }}
	file := filepath.Join(t.TempDir(), "lock")
	unlock, err := b.hold(t.Context(), file)
	must(t, err)
	if _, err := b.hold(ctx, file); !errors.Is(err, context.Canceled) || said != 1 {
		t.Errorf("got %v, said %d times", err, said)
	}
	unlock()
	unlock, err = b.hold(t.Context(), file)
	must(t, err)
	unlock()
}

// What was built before stays as it was when a build fails, and is replaced as
// a whole when it does not.
func TestPublish(t *testing.T) {
	b := Build{Out: t.TempDir(), Say: quiet}
	must(t, os.WriteFile(filepath.Join(b.Out, "vmlinuz"), []byte("old"), 0o644))
	must(t, os.WriteFile(filepath.Join(b.Out, "manifest.json.sig"), []byte("of the old"), 0o644))
	must(t, os.MkdirAll(filepath.Join(b.Out, ".image-killed"), 0o755))
	stage, err := b.stage()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(stage, "vmlinuz"), []byte("new"), 0o644))
	must(t, os.WriteFile(filepath.Join(stage, "manifest.json"), nil, 0o644))
	if text, _ := os.ReadFile(filepath.Join(b.Out, "vmlinuz")); string(text) != "old" {
		t.Errorf("vmlinuz is %q before it is published", text)
	}
	must(t, b.publish(stage))
	must(t, os.Remove(stage))
	if text, _ := os.ReadFile(filepath.Join(b.Out, "vmlinuz")); string(text) != "new" {
		t.Errorf("vmlinuz is %q", text)
	}
	if got := list(t, b.Out); got != "manifest.json vmlinuz" {
		t.Errorf("the folder has %s", got)
	}
}

func TestBadArguments(t *testing.T) {
	run := func(args ...string) error {
		return run(t.Context(), append([]string{"-lock", "packages.lock", "-out", t.TempDir(), "-cache", t.TempDir()}, args...), &bytes.Buffer{})
	}
	demand(t, run("-ca", "/nowhere.pem"), "CA: open /nowhere.pem")
	demand(t, run("-ca", file(t, "no certificate")), "has no certificate in it")
	demand(t, run("-ca", file(t, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")), "only certificates belong on a boot medium")
	demand(t, run("-net-toml", file(t, "controllers = [")), "is no TOML")
	demand(t, run("-cmdline", "a\nb"), "more than one line")
	demand(t, run("-key", file(t, "nothing")), "no RSA or Ed25519 private key")
	demand(t, run("surprise"), "not understood")
	demand(t, run("-lock", file(t, "mc 1 arm64 7 x debian p")), "run make image-lock")
}

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

func pemOf(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestKeys(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	public, edKey, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "k"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, rsaKey.Public(), rsaKey)
	certificate := pemOf(t, "CERTIFICATE", cert, err)
	der, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	private := pemOf(t, "PRIVATE KEY", der, err)
	_, err = readKey(file(t, private))
	demand(t, err, "has an RSA key but not the CERTIFICATE")
	if k, err := readKey(file(t, private+certificate)); err != nil || k.certificate == nil {
		t.Errorf("an RSA key with its certificate: %v", err)
	}
	der, err = x509.MarshalPKCS8PrivateKey(edKey)
	k, err := readKey(file(t, pemOf(t, "PRIVATE KEY", der, err)))
	must(t, err)
	signature, err := k.signature([]byte("manifest"))
	if err != nil || !ed25519.Verify(public, []byte("manifest"), signature) {
		t.Errorf("the signature does not verify: %v", err)
	}
}

func TestLibrariesThatAreLacking(t *testing.T) {
	self, err := os.ReadFile("/bin/sh") // linked with libc on Debian
	must(t, err)
	program := tree.New()
	program.Write("usr/bin/p", 0o755, self)
	demand(t, addLibraries(program, tree.New(), nil), "libc.so.6 (for usr/bin/p)")
	have := tree.New()
	for _, name := range []string{"usr/lib/x86_64-linux-gnu/libc.so.6", "usr/lib64/ld-linux-x86-64.so.2"} {
		have.Link(name, "real")
		have.Write(filepath.Dir(name)+"/real", 0o755, []byte("library"))
	}
	must(t, addLibraries(program, have, nil))
	if !program.Has("usr/lib/x86_64-linux-gnu/real") {
		t.Error("what the library's name links to was not added")
	}
}

func TestWhatCannotRun(t *testing.T) {
	tr := tree.New()
	tr.Write("usr/bin/sh", 0o755, []byte("\x7fELF"))
	for text, want := range map[string]bool{"#!/bin/sh\n": true, "#! /usr/bin/env sh\n": true, "#!/usr/bin/python3\n": false, "#!/usr/bin/env perl\n": false, "\x7fELF": true, "": true} {
		if got := runnable(tr, &tree.File{Type: tar.TypeReg, Mode: 0o755, Content: tree.Bytes([]byte(text))}); got != want {
			t.Errorf("%q: runnable %v, want %v", text, got, want)
		}
	}
	for link, want := range map[string]bool{"sh": false, "/bin/sh": false, "../bin/sh": false, "gone": true, "/run/x": false} {
		f := tree.Symlink(link)
		if got := dangling(tr, "usr/bin/x", &f); got != want {
			t.Errorf("link to %s: dangling %v, want %v", link, got, want)
		}
	}
}

// No archive: one line that says what to do, and nothing left behind.
func TestNoArchive(t *testing.T) {
	b := Build{Out: t.TempDir(), Cache: t.TempDir(), Lock: "packages.lock", Archive: "http://127.0.0.1:1", Say: quiet}
	must(t, b.prepare())
	_, err := b.loaders(t.Context())
	demand(t, err, "G8OS_ARCHIVE=http://HOST")
	if got := list(t, filepath.Join(b.Cache, "made")); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

func TestBrokenOffLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := Build{Out: t.TempDir(), Cache: t.TempDir(), Lock: "packages.lock", Archive: "http://127.0.0.1:1", Say: quiet, BaseOnly: true}
	if b.Run(ctx) == nil {
		t.Error("a build that was broken off says it is done")
	}
	if got := list(t, b.Out); got != "" {
		t.Errorf("left behind: %s", got)
	}
}
