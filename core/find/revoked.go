package find

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/g8os/g8os/core/api"
)

// notRevoked refuses a server whose certificates come from an issuing CA of which
// no AC is believed any more (api.Settings). The error wraps api.ErrNotAC.
func notRevoked(certs []*x509.Certificate, revoked []string) error {
	for _, c := range certs {
		for _, id := range [][]byte{c.AuthorityKeyId, c.SubjectKeyId} {
			if len(id) > 0 && slices.Contains(revoked, hex.EncodeToString(id)) {
				return fmt.Errorf("%w: its issuing CA %x is revoked in this grid", api.ErrNotAC, id)
			}
		}
	}
	return nil
}
