package ca

import (
	"crypto/x509"
	"time"
)

// An issue time says what of a node was before what: every certificate and
// every revocation has one, later than all before it. It is the clock's, to the
// second, while that goes forward; when the clock was ahead and has been put
// right, it counts on from the last one (a hybrid logical clock: Kulkarni et
// al., Logical Physical Clocks, 2014). When a certificate is good is another
// matter, and the clock's alone: so nobody has to wait until a clock catches up
// with a revocation. The node's record keeps the last one, in the transaction
// of the decision, so ACs need not have the same clock, or have heard of each
// other, to give the same order.

// issueLayout is how a certificate says its issue time, in the subject's
// serialNumber (RFC 5280, 4.1.2.4): GeneralizedTime.
const issueLayout = "20060102150405Z"

// nextIssue is the issue time after the last one; the zero time is before all.
func nextIssue(last, now time.Time) time.Time {
	now, last = now.UTC().Truncate(time.Second), last.UTC().Truncate(time.Second)
	if now.After(last) {
		return now
	}
	return last.Add(time.Second)
}

// IssuedAt is the issue time of a leaf of this package, to the second. For ACs
// and operators, and in certificates that do not say one, it is the clock's.
func IssuedAt(cert *x509.Certificate) time.Time {
	if at, err := time.Parse(issueLayout, cert.Subject.SerialNumber); err == nil {
		return at
	}
	return cert.NotBefore.Add(Backdate)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
