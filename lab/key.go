package lab

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/g8os/g8os/ac-mock/client"
)

// contextDir is where g8os looks for contexts after the operator's own.
const contextDir = "/run/g8os/contexts"

// keyPath is the lab's ssh key: it gets in on every node.
func (l *Lab) keyPath() string { return filepath.Join(l.rec.Data, "ssh", "id_ed25519") }

// makeKey makes the ssh key, once.
func (l *Lab) makeKey() error {
	if _, err := os.Stat(l.keyPath() + ".pub"); err == nil {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("ssh key of lab %s: %w", l.Name(), err) }
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fail(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "g8lab "+l.Name())
	if err != nil {
		return fail(err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(filepath.Dir(l.keyPath()), 0o700); err != nil {
		return fail(err)
	}
	if err := os.WriteFile(l.keyPath(), pem.EncodeToMemory(block), 0o600); err != nil {
		return fail(err)
	}
	text := append(bytes.TrimSpace(ssh.MarshalAuthorizedKey(line)), " g8lab-"+l.Name()+"\n"...)
	if err := os.WriteFile(l.keyPath()+".pub", text, 0o644); err != nil {
		return fail(err)
	}
	return nil
}

// contextMark is the first line of a context that is ours to replace and remove.
func contextMark(lab string) []byte { return []byte("# Made by g8lab for lab " + lab + ".\n") }

func contextPath(lab string) string { return filepath.Join(contextDir, lab+".toml") }

// context is who the operator is to this AC.
func (a *AC) context() client.Context {
	operators := filepath.Dir(a.CAPath())
	return client.Context{
		AC: []string{a.URL()}, CA: a.CAPath(),
		Certificate: filepath.Join(operators, "admin.crt"), Key: filepath.Join(operators, "admin.key"),
	}
}

// writeContext tells g8os on the host where the ACs are and who the operator is.
func (l *Lab) writeContext() error {
	path := contextPath(l.Name())
	mark := contextMark(l.Name())
	if old, err := os.ReadFile(path); err == nil && !bytes.HasPrefix(old, mark) {
		return fmt.Errorf("context %s is not of this lab; move it away, or choose another --lab name", path)
	}
	if err := os.MkdirAll(contextDir, 0o755); err != nil {
		return fmt.Errorf("context of lab %s: %w", l.Name(), err)
	}
	c := l.ACs()[0].context()
	var urls []string
	for _, ac := range l.ACs() {
		urls = append(urls, fmt.Sprintf("%q", ac.URL()))
	}
	text := fmt.Appendf(mark, "ac = [%s]\nca = %q\ncertificate = %q\nkey = %q\n", strings.Join(urls, ", "), c.CA, c.Certificate, c.Key)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("context of lab %s: %w", l.Name(), err)
	}
	return os.Rename(path+".new", path)
}

// removeContext takes away the lab's context, and the directories once empty.
func removeContext(lab string) error {
	path := contextPath(lab)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && bytes.HasPrefix(text, contextMark(lab)) {
		err = os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("remove context of lab %s: %w", lab, err)
	}
	if os.Remove(contextDir) == nil { // fails as long as there are others
		_ = os.Remove(filepath.Dir(contextDir))
	}
	return nil
}

// ReleaseKeyPath is the private key with which a g8os_core is signed that the
// lab's nodes take (g8os upgrade sign --key).
func (l *Lab) ReleaseKeyPath() string { return filepath.Join(l.rec.Data, "release", "key.pem") }

// releaseKey is the public key that nodes pin. It is made with the first node.
func (l *Lab) releaseKey() (public []byte, err error) {
	if public, err = os.ReadFile(l.ReleaseKeyPath() + ".pub"); err == nil {
		return public, nil
	}
	err = l.rec.Alone("release", func() error { public, err = l.makeReleaseKey(); return err })
	return public, err
}

func (l *Lab) makeReleaseKey() ([]byte, error) {
	if public, err := os.ReadFile(l.ReleaseKeyPath() + ".pub"); err == nil {
		return public, nil
	}
	open, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err1 := x509.MarshalPKCS8PrivateKey(secret)
	public, err2 := x509.MarshalPKIXPublicKey(open)
	if err := errors.Join(err1, err2, os.MkdirAll(filepath.Dir(l.ReleaseKeyPath()), 0o700)); err != nil {
		return nil, err
	}
	if err := os.WriteFile(l.ReleaseKeyPath(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	return text, os.WriteFile(l.ReleaseKeyPath()+".pub", text, 0o644)
}
