package api

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// ErrNotAC is wrapped by every reason for which a TLS server is not an AC of
// this grid. A 200 from a captive portal and a stranger on 10.254.254.254 end
// here.
var ErrNotAC = errors.New("not an AC of this grid")

// ErrTime is wrapped beside ErrNotAC when only the validity period stands
// between the server and being an AC: a sign of a wrong clock on one side.
var ErrTime = errors.New("certificate is not valid at this time")

// Backdate is how far before its issue an AC has a certificate begin: two
// clocks that differ by less are one as far as certificates go.
const Backdate = 5 * time.Minute

// VerifyAC checks a server's certificates as of now: the chain ends in a
// pinned CA, the leaf may serve, and its identity is an AC's. The host name is
// not looked at: an AC is at whatever address it is found. It returns the
// identity, or an error that wraps ErrNotAC.
func VerifyAC(certs []*x509.Certificate, pinned *x509.CertPool, now time.Time) (Identity, error) {
	return verify(certs, pinned, now, RoleAC, x509.ExtKeyUsageServerAuth)
}

// VerifyClient checks a client's certificates as of now for a role. The
// caller still has to ask its deny list.
func VerifyClient(certs []*x509.Certificate, accepted *x509.CertPool, now time.Time) (Identity, error) {
	return verify(certs, accepted, now, "", x509.ExtKeyUsageClientAuth)
}

func verify(certs []*x509.Certificate, roots *x509.CertPool, now time.Time, role Role, usage x509.ExtKeyUsage) (Identity, error) {
	if len(certs) == 0 {
		return Identity{}, fmt.Errorf("%w: it showed no certificate", ErrNotAC)
	}
	between := x509.NewCertPool()
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	_, err := certs[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return Identity{}, fmt.Errorf("%w: %w: %w", ErrNotAC, ErrTime, err)
	}
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrNotAC, err)
	}
	id, err := ParseIdentity(certs[0].URIs)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrNotAC, err)
	}
	if role != "" && id.Role != role {
		return Identity{}, fmt.Errorf("%w: its certificate is %s, not an AC's", ErrNotAC, id)
	}
	return id, nil
}
