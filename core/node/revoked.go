package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/durable"
)

// revokedFile names the issuing CAs of which no AC is believed any more: in the
// volume, so it counts once that is open. Before that an AC gets nothing but what
// a stranger may hear.
const revokedFile = "revoked-cas"

func (k *keys) revokedPath() string { return filepath.Join(k.sslDir(), revokedFile) }

// revokedCAs reads them; nil: none, or the volume is shut.
func (k *keys) revokedCAs() []string {
	text, err := os.ReadFile(k.revokedPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.log.Warn("the list of revoked CAs cannot be read", "error", err)
	}
	return strings.Fields(string(text))
}

// settleRevoked writes down what the AC says of them. Retired CAs leave its list
// when their certificates have run out.
func (k *keys) settleRevoked(s api.Settings) {
	if slices.Equal(k.revokedCAs(), s.RevokedCAs) {
		return
	}
	if _, err := os.Stat(k.sslDir()); err != nil {
		return // the volume has just been lost: the next session tells again
	}
	if err := durable.Write(durable.OS, k.revokedPath(), []byte(strings.Join(append(s.RevokedCAs, ""), "\n")), 0o600); err != nil {
		k.log.Warn("the list of revoked CAs stays as it was", "error", err)
		return
	}
	k.log.Info("issuing CAs are revoked: no AC of theirs is believed any more", "cas", s.RevokedCAs)
}
