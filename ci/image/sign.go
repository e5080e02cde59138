package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/crypto/ssh"
)

// A key signs an image: an RSA key with its certificate signs the EFI program
// for Secure Boot and the manifest; an Ed25519 key, which firmware does not
// know, the manifest only.
type key struct {
	private     crypto.Signer
	certificate []byte // PEM
}

// readKey reads a PEM file: PRIVATE KEY, RSA PRIVATE KEY or OPENSSH PRIVATE
// KEY, and the CERTIFICATE that goes with an RSA key.
func readKey(file string) (key, error) {
	var k key
	text, err := os.ReadFile(file)
	if err != nil {
		return k, fmt.Errorf("KEY: %w", err)
	}
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch {
		case block.Type == "CERTIFICATE" && k.certificate == nil:
			k.certificate = pem.EncodeToMemory(block)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			if k.private, err = parseKey(block); err != nil {
				return k, fmt.Errorf("KEY: %s: %w", file, err)
			}
		}
	}
	switch k.private.(type) {
	case ed25519.PrivateKey:
	case *rsa.PrivateKey:
		if k.certificate == nil {
			return k, fmt.Errorf("KEY: %s has an RSA key but not the CERTIFICATE that firmware knows it by: put both into it", file)
		}
	default:
		return k, fmt.Errorf("KEY: %s has no RSA or Ed25519 private key in it (PEM)", file)
	}
	return k, nil
}

func parseKey(block *pem.Block) (crypto.Signer, error) {
	parsed, err := ssh.ParseRawPrivateKey(pem.EncodeToMemory(block)) // knows PKCS#1, PKCS#8 and OpenSSH's own
	if err != nil {
		return nil, err
	}
	if p, ok := parsed.(*ed25519.PrivateKey); ok {
		return *p, nil
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("keys of type %T cannot sign", parsed)
	}
	return signer, nil
}

// sign signs an EFI program for Secure Boot, if there is a key that can.
func (b *Build) sign(ctx context.Context, program string) error {
	if b.Grid.Key == "" {
		return nil
	}
	k, err := readKey(b.Grid.Key)
	if err != nil {
		return err
	}
	if k.certificate == nil {
		b.Say("the key is Ed25519, which firmware does not know: only the manifest is signed")
		return nil
	}
	cert, err := os.CreateTemp("", "g8os-cert-*")
	if err != nil {
		return err
	}
	defer os.Remove(cert.Name())
	if _, err := cert.Write(k.certificate); err != nil {
		return errors.Join(err, cert.Close())
	}
	if err := cert.Close(); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "sbsign", "--key", b.Grid.Key, "--cert", cert.Name(), "--output", program, program).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("signing the EFI program: %w: install sbsigntool", err)
	}
	if err != nil {
		return fmt.Errorf("sbsign: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// signature signs a text: Ed25519 as it is, RSA PKCS #1 v1.5 over SHA-256.
func (k key) signature(text []byte) ([]byte, error) {
	if _, is := k.private.(ed25519.PrivateKey); is {
		return k.private.Sign(rand.Reader, text, crypto.Hash(0))
	}
	sum := sha256.Sum256(text)
	return k.private.Sign(rand.Reader, sum[:], crypto.SHA256)
}

// public is the key to check with, PEM.
func (k key) public() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), err
}
