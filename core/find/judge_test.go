package find

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
)

// The certificates of these tests hold from an hour after the image was built
// to 30 days after it.
func TestJudgeAndBelieve(t *testing.T) {
	const hour, day = time.Hour, 24 * time.Hour
	g := newGrid(t)
	pinned := x509.NewCertPool()
	pinned.AddCert(g.root)
	for _, c := range []struct {
		name     string
		cert     tls.Certificate
		now      time.Duration // our clock, after the image was built
		ok       bool
		doubtful bool
	}{
		{"the clock is right", g.leaf(t, nil), 2 * hour, true, false},
		{"the clock shows 1970", g.leaf(t, nil), -50 * 365 * day, true, true},
		{"the clock is a little behind", g.leaf(t, nil), hour / 2, true, true},
		{"the clock is years ahead, which nobody believes", g.leaf(t, nil), 200 * 365 * day, true, true},
		{"the certificate has expired", g.leaf(t, nil), 31 * day, false, false},
		{"a stranger, and the clock is right", newGrid(t).leaf(t, nil), 2 * hour, false, false},
		{"a stranger, and the clock shows 1970", newGrid(t).leaf(t, nil), -50 * 365 * day, false, false},
	} {
		leaf, err := x509.ParseCertificate(c.cert.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		id, doubtful, err := Judge([]*x509.Certificate{leaf}, pinned, built.Add(c.now), built)
		if doubtful != c.doubtful || (err == nil) != c.ok || err != nil && !errors.Is(err, api.ErrNotAC) || c.ok && id.Name != "ac1" {
			t.Errorf("%s: %v, doubtful %v, %v", c.name, id, doubtful, err)
		}
	}
	leaf, _ := x509.ParseCertificate(g.leaf(t, nil).Certificate[0])
	for said, ok := range map[time.Duration]bool{2 * hour: true, hour / 2: false, -hour: false, 31 * day: false, 200 * 365 * day: false} {
		if err := Believe([]*x509.Certificate{leaf}, pinned, built.Add(said), built); (err == nil) != ok || err != nil && !errors.Is(err, api.ErrNotAC) {
			t.Errorf("an AC whose clock is %v after the image was built: %v", said, err)
		}
	}
	if _, _, err := Judge(nil, pinned, built, built); !errors.Is(err, api.ErrNotAC) {
		t.Errorf("no certificate at all: %v", err)
	}
}
