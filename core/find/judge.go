package find

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/clock"
	"github.com/g8os/g8os/internal/planted"
)

// Judge says who a TLS server is that showed certs, as of our own clock now.
// When only the time stands in the way and our clock may be to blame, the
// chain is verified without it for now, and doubtful is true: before anything
// else the server is to be asked for its time, and Believe to judge that.
// built is when this image was. Errors wrap api.ErrNotAC.
func Judge(certs []*x509.Certificate, pinned *x509.CertPool, now, built time.Time) (id api.Identity, doubtful bool, err error) {
	if planted.Is(planted.AnyCA) {
		return api.Identity{Role: api.RoleAC}, false, nil // whoever it is
	}
	id, err = api.VerifyAC(certs, pinned, now)
	if errors.Is(err, api.ErrTime) && suspect(now, built, certs) {
		id, err = api.VerifyAC(certs, pinned, commonTime(certs))
		return id, err == nil, err
	}
	return id, false, err
}

// Believe says whether our clock may be set to what a doubtful server said: the
// time is plausible, and its certificates hold as of it. Errors wrap
// api.ErrNotAC.
func Believe(certs []*x509.Certificate, pinned *x509.CertPool, said, built time.Time) error {
	if !clock.Plausible(said, built) {
		return fmt.Errorf("%w: its time %s is before this image was built or far beyond", api.ErrNotAC, said.UTC().Format(time.RFC3339))
	}
	if _, err := api.VerifyAC(certs, pinned, said); err != nil {
		return fmt.Errorf("as of its own time: %w", err)
	}
	return nil
}

// suspect says whether our clock may be the one that is wrong: plainly, or by
// being behind a certificate that is not valid yet. A clock that is ahead by a
// plausible span is never turned back: that would revive expired keys.
func suspect(now, built time.Time, certs []*x509.Certificate) bool {
	return !clock.Plausible(now, built) || now.Before(commonTime(certs))
}

// commonTime is the first instant at which every certificate of a chain was
// valid.
func commonTime(certs []*x509.Certificate) time.Time {
	var t time.Time
	for _, c := range certs {
		if c.NotBefore.After(t) {
			t = c.NotBefore
		}
	}
	return t
}
