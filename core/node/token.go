package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
	"github.com/g8os/g8os/core/unlock"
)

// tokenFile holds the join token that an operator gave to a new machine: in the
// node's folder, or, from the kernel's command line, in the run folder.
const tokenFile = "token"

// maxToken bounds what is read of such a file, in bytes.
const maxToken = 256

func (k *keys) tokenFiles() []string {
	return []string{filepath.Join(k.opt.Dir, tokenFile), filepath.Join(k.opt.RunDir, tokenFile)}
}

// joinToken is what a machine that no AC has let in yet shows; nil: it has none,
// or needs none.
func (k *keys) joinToken(v *unlock.Vault) api.Secret {
	if id, _ := v.Node(); id != "" {
		return nil
	}
	for _, path := range k.tokenFiles() {
		text, err := os.ReadFile(path)
		switch token := strings.TrimSpace(string(text)); {
		case errors.Is(err, fs.ErrNotExist), err == nil && token == "":
		case err != nil:
			k.log.Warn("the join token cannot be read", "error", err)
		case len(token) > maxToken:
			k.log.Warn("the join token is no token: it is too long", "file", path, "bytes", len(token))
		default:
			return api.Secret(token)
		}
	}
	return nil
}

// forgetToken removes the join token of a machine that has been let in: what is
// left of its uses is not for a thief of the disk.
func (k *keys) forgetToken() {
	for _, path := range k.tokenFiles() {
		err := os.Remove(path)
		if err == nil {
			err = durable.SyncDir(durable.OS, filepath.Dir(path))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			k.log.Warn("the join token stays, though it is not needed any more", "file", path, "error", err)
		}
	}
}
