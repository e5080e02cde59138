package lab

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
)

// What upgrades are asked for with and answer.
type (
	Release        = api.Release
	UpgradeRequest = api.UpgradeRequest
	Upgrade        = api.Upgrade
	Address        = api.Address
)

// Core returns the lab's g8os_core, and as which version it shows itself.
func (l *Lab) Core(ctx context.Context) (binary []byte, version string, err error) {
	path := filepath.Join(l.st.BinDir, "g8os_core")
	out, err := exec.CommandContext(ctx, path, "version", "-o", "json").Output()
	if err != nil {
		return nil, "", fmt.Errorf("version of %s: %w", path, err)
	}
	var build struct{ Version string }
	if err := json.Unmarshal(out, &build); err != nil {
		return nil, "", fmt.Errorf("version of %s: %w", path, err)
	}
	binary, err = os.ReadFile(path)
	return binary, build.Version, err
}

// OtherCore makes a g8os_core that differs from the lab's in nothing but its
// version, which begins with mark. A second build would take a minute.
func (l *Lab) OtherCore(ctx context.Context, mark string) (binary []byte, version string, err error) {
	binary, old, err := l.Core(ctx)
	if err != nil {
		return nil, "", err
	}
	if len(old) < len(mark) || len(old) < 7 || bytes.Count(binary, []byte(old)) == 0 {
		return nil, "", fmt.Errorf("version %q of the lab's g8os_core cannot be changed to one with %q; build it with make", old, mark)
	}
	version = mark + old[len(mark):]
	return bytes.ReplaceAll(binary, []byte(old), []byte(version)), version, nil
}

// SignCore describes a file as a g8os_core of a version, and signs it with the
// key that the lab's nodes pin, or another one.
func (l *Lab) SignCore(file []byte, version string, key ed25519.PrivateKey) (Release, error) {
	if key == nil {
		text, err := os.ReadFile(l.ReleaseKeyPath())
		if err != nil {
			return Release{}, fmt.Errorf("release key of lab %s: %w", l.Name(), err)
		}
		block, _ := pem.Decode(text)
		if block == nil {
			return Release{}, errors.New("release key: no PEM")
		}
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return Release{}, err
		}
		key = parsed.(ed25519.PrivateKey)
	}
	sum := sha256.Sum256(file)
	return Release{Version: version, Arch: runtime.GOARCH, Built: time.Now(), Sum: hex.EncodeToString(sum[:]), Size: int64(len(file))}.Sign(key)
}

// BringCore has an AC keep a release.
func (a *AC) BringCore(ctx context.Context, r Release, file []byte) error {
	_, err := ask(a, func(c *client.Client) (Release, error) {
		known, err := c.AddRelease(ctx, r)
		if err == nil && !known.Have {
			err = c.SendRelease(ctx, r, bytes.NewReader(file))
		}
		return known, err
	})
	return err
}

// Upgrade begins an upgrade of nodes.
func (a *AC) Upgrade(ctx context.Context, q UpgradeRequest) (Upgrade, error) {
	return ask(a, func(c *client.Client) (Upgrade, error) { return c.Upgrade(ctx, q) })
}

// Upgrading shows the last upgrade.
func (a *AC) Upgrading(ctx context.Context) (Upgrade, error) {
	return ask(a, func(c *client.Client) (Upgrade, error) { return c.UpgradeStatus(ctx) })
}

// DrainNode has a node begin no new job, or undoes that.
func (a *AC) DrainNode(ctx context.Context, n *Node, undo bool) (NodeRecord, error) {
	return ask(a, func(c *client.Client) (NodeRecord, error) {
		if undo {
			return c.Undrain(ctx, string(n.ID()))
		}
		return c.Drain(ctx, string(n.ID()))
	})
}
