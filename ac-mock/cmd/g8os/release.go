package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/g8os/g8os/core/api"
)

// signatureSuffix is added to the name of a g8os_core for its signature.
const signatureSuffix = ".sig"

type upgradeKeyCmd struct {
	File string `arg:"" type:"path" help:"Where the private key goes; the public one goes to FILE.pub."`
}

// Run makes a key pair; it overwrites none.
func (k *upgradeKeyCmd) Run(s *session) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	secret, err1 := x509.MarshalPKCS8PrivateKey(private)
	open, err2 := x509.MarshalPKIXPublicKey(public)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if err := writeNew(k.File, 0o600, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})); err != nil {
		return err
	}
	if err := writeNew(k.File+".pub", 0o644, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: open})); err != nil {
		return err
	}
	fmt.Fprintf(s.stdout, "%s.pub is to be on every node as /etc/g8os/release.pub; keep %s away from the grid\n", k.File, k.File)
	return nil
}

func writeNew(path string, mode os.FileMode, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

type upgradeSignCmd struct {
	File    string `arg:"" type:"existingfile" help:"A g8os_core. Its signature goes to FILE.sig."`
	Key     string `required:"" type:"existingfile" help:"The private release key (g8os upgrade key)."`
	Version string `help:"Its version, if this machine cannot run it to ask."`
	Built   int64  `help:"When its source was committed, in seconds since 1970, if this machine cannot run it."`
}

func (upgradeSignCmd) Help() string {
	return `Signed are the file's SHA-256 and size, its version, when its source was committed, and the
machines that it is for. The file itself is not changed.`
}

// Run signs.
func (u *upgradeSignCmd) Run(s *session) error {
	key, err := readReleaseKey(u.Key)
	if err != nil {
		return err
	}
	file, err := os.Open(u.File)
	if err != nil {
		return err
	}
	defer file.Close()
	r, err := describe(file)
	if err != nil {
		return fmt.Errorf("%s: %w", u.File, err)
	}
	if r.Version, r.Built = u.Version, time.Unix(u.Built, 0); r.Version == "" {
		if r.Version, r.Built, err = askVersion(s, u.File, r.Arch); err != nil {
			return err
		}
	}
	if r, err = r.Sign(key); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(u.File+signatureSuffix, append(text, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(s.stdout, "%s%s: g8os_core %s for %s, sha256 %s\n", u.File, signatureSuffix, r.Version, r.Arch, r.Sum)
	return nil
}

// describe is what the file itself says.
func describe(file *os.File) (r api.Release, err error) {
	h := sha256.New()
	if r.Size, err = io.Copy(h, file); err != nil {
		return r, err
	}
	r.Sum = hex.EncodeToString(h.Sum(nil))
	binary, err := elf.NewFile(file)
	if err != nil {
		return r, fmt.Errorf("not a program for Linux: %w", err)
	}
	arch := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_RISCV: "riscv64"}[binary.Machine]
	if arch == "" {
		return r, fmt.Errorf("no G8OS runs on %s", binary.Machine)
	}
	r.Arch = arch
	return r, nil
}

// askVersion runs a g8os_core to ask for its version.
func askVersion(s *session, path, arch string) (string, time.Time, error) {
	var build struct {
		Version string    `json:"version"`
		Built   time.Time `json:"built"`
	}
	if arch != runtime.GOARCH {
		return "", time.Time{}, exitError{exitUsage, fmt.Errorf("%s is for %s, and this machine cannot ask it for its version: say --version and --built", path, arch)}
	}
	out, err := exec.CommandContext(s.ctx, path, "version", "-o", "json").Output()
	if err == nil {
		err = json.Unmarshal(out, &build)
	}
	if err != nil {
		return "", time.Time{}, fmt.Errorf("%s version: %w; is it a g8os_core? --version and --built say it instead", path, err)
	}
	return build.Version, build.Built, nil
}

func readReleaseKey(path string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM block of a private key (g8os upgrade key makes one)", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: it is a %T, want Ed25519 (g8os upgrade key makes one)", path, key)
	}
	return private, nil
}

func readRelease(path string) (r api.Release, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return r, fmt.Errorf("the signature of the release: %w; g8os upgrade sign makes it", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	return r, r.Check()
}

// isRelease says whether a file is what a signature is of.
func isRelease(file *os.File, r api.Release) error {
	h := sha256.New()
	n, err := io.Copy(h, file)
	if err != nil {
		return err
	}
	if is := hex.EncodeToString(h.Sum(nil)); is != r.Sum || n != r.Size {
		return fmt.Errorf("%s is not what %s%s is of: its sha256 is %.12s, not %.12s; sign it again", file.Name(), file.Name(), signatureSuffix, is, r.Sum)
	}
	return nil
}
