package find

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/g8os/g8os/core/api"
)

func TestNotRevoked(t *testing.T) {
	leaf := &x509.Certificate{AuthorityKeyId: []byte{0xab, 1}}
	issuing := &x509.Certificate{AuthorityKeyId: []byte{0xcd}, SubjectKeyId: []byte{0xab, 1}}
	for _, c := range []struct {
		certs   []*x509.Certificate
		revoked []string
		refused bool
	}{
		{[]*x509.Certificate{leaf, issuing}, nil, false},
		{[]*x509.Certificate{leaf, issuing}, []string{"ab02"}, false},
		{[]*x509.Certificate{leaf, issuing}, []string{"ab01"}, true},
		{[]*x509.Certificate{leaf}, []string{"00", "ab01"}, true}, // it may leave out who issued it
		{[]*x509.Certificate{{}}, []string{""}, false},
		{nil, []string{"ab01"}, false},
	} {
		if err := notRevoked(c.certs, c.revoked); errors.Is(err, api.ErrNotAC) != c.refused {
			t.Errorf("%v, %q: %v", c.certs, c.revoked, err)
		}
	}
}
