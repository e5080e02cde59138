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

// Judge says who a TLS server is that showed certs, as of our own clock. When
// only the time stands in the way and our clock may be to blame, the chain is
// verified without it for now, and doubtful is true: before anything else the
// server is to be asked for its time, and Believe to judge that. built is when
// this image was. Errors wrap api.ErrNotAC.
func Judge(certs []*x509.Certificate, pinned *x509.CertPool, ours clock.Reading, built time.Time) (id api.Identity, doubtful bool, err error) {
	if planted.Is(planted.AnyCA) {
		return api.Identity{Role: api.RoleAC}, false, nil // whoever it is
	}
	id, err = api.VerifyAC(certs, pinned, ours.Now)
	if from, until := span(certs); errors.Is(err, api.ErrTime) && suspect(ours, built, from, until) {
		id, err = api.VerifyAC(certs, pinned, from)
		return id, err == nil, err
	}
	return id, false, err
}

// Believe says whether our clock may be set to what a doubtful server said: the
// time is plausible and not before the earliest we go back to, and the server's
// certificates hold as of it. Errors wrap api.ErrNotAC.
func Believe(certs []*x509.Certificate, pinned *x509.CertPool, said time.Time, ours clock.Reading, built time.Time) error {
	if !clock.Plausible(said, built) {
		return fmt.Errorf("%w: its time %s is before this image was built or far beyond", api.ErrNotAC, stamp(said))
	}
	if limit := earliest(ours, built); said.Before(limit) {
		return fmt.Errorf("%w: its time %s would turn our clock back from %s, further than to %s", api.ErrNotAC, stamp(said), stamp(ours.Now), stamp(limit))
	}
	if _, err := api.VerifyAC(certs, pinned, said); err != nil {
		return fmt.Errorf("as of its own time: %w", err)
	}
	return nil
}

// Behind says whether our clock is to be set forward to what an AC said that
// has proved itself as of our clock: a chain that holds for days lets a clock
// pass that is days behind, and what is issued now begins in its future. Errors
// wrap api.ErrNotAC: the AC is not believed.
func Behind(certs []*x509.Certificate, pinned *x509.CertPool, said time.Time, ours clock.Reading, built time.Time) (bool, error) {
	if !said.After(ours.Now.Add(api.Backdate)) {
		return false, nil
	}
	err := Believe(certs, pinned, said, ours, built)
	return err == nil, err
}

// suspect says whether our clock may be the one that is wrong: plainly, by
// being behind a certificate that is not valid yet, or by having been set ahead
// of one that had not expired by the machine's own reckoning.
//
// Otherwise a clock that is ahead by a plausible span is never turned back:
// that would revive expired keys. One that was set ahead was so on the word of
// an AC whose own clock was wrong, and is no better than that: to go back as far
// as Untouched revives nothing that this machine would not have believed had
// that AC never been there.
func suspect(ours clock.Reading, built, from, until time.Time) bool {
	return !clock.Plausible(ours.Now, built) || ours.Now.Before(from) ||
		setAhead(ours, built) && !ours.Untouched.After(until)
}

// setAhead says that our clock was set ahead of what can be right as well.
func setAhead(ours clock.Reading, built time.Time) bool {
	return clock.Plausible(ours.Untouched, built) && ours.Untouched.Before(ours.Now)
}

// earliest is the time before which nobody sets our clock. A clock that was
// right may be ahead of the AC's by a little (api.Backdate).
func earliest(ours clock.Reading, built time.Time) time.Time {
	switch {
	case !clock.Plausible(ours.Now, built):
		return built
	case setAhead(ours, built):
		return ours.Untouched.Add(-api.Backdate)
	}
	return ours.Now.Add(-api.Backdate)
}

// span is when every certificate of a chain is valid, zero without one.
func span(certs []*x509.Certificate) (from, until time.Time) {
	for _, c := range certs {
		if c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if until.IsZero() || c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	return from, until
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
