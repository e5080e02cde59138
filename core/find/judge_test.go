package find

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/clock"
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
		id, doubtful, err := Judge([]*x509.Certificate{leaf}, pinned, reading(c.now, c.now), built)
		if doubtful != c.doubtful || (err == nil) != c.ok || err != nil && !errors.Is(err, api.ErrNotAC) || c.ok && id.Name != "ac1" {
			t.Errorf("%s: %v, doubtful %v, %v", c.name, id, doubtful, err)
		}
	}
	if _, _, err := Judge(nil, pinned, reading(0, 0), built); !errors.Is(err, api.ErrNotAC) {
		t.Errorf("no certificate at all: %v", err)
	}
}

// reading is a clock that shows a time after the image was built, and would
// show another had nobody set it.
func reading(now, untouched time.Duration) clock.Reading {
	return clock.Reading{Now: built.Add(now), Untouched: built.Add(untouched)}
}

// What a server says of the time is believed within bounds, by a clock that was
// set and by one that was not.
func TestTime(t *testing.T) {
	const hour, day, minute = time.Hour, 24 * time.Hour, time.Minute
	g := newGrid(t)
	pinned := x509.NewCertPool()
	pinned.AddCert(g.root)
	leaf, err := x509.ParseCertificate(g.leaf(t, nil).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	certs := []*x509.Certificate{leaf} // from an hour to 30 days
	for _, c := range []struct {
		name                     string
		now, untouched, said     time.Duration
		doubtful, believed, move bool // Judge, Believe, Behind
	}{
		{"right", 2 * hour, 2 * hour, 2 * hour, false, true, false},
		{"a little behind", 2 * hour, 2 * hour, 2*hour + 4*minute, false, true, false},
		{"behind, the chain holds", 2 * hour, 2 * hour, 3 * day, false, true, true},
		{"behind, and as of that time the chain has expired", 2 * hour, 2 * hour, 31 * day, false, false, false},
		{"behind, and that time is beyond belief", 2 * hour, 2 * hour, 200 * 365 * day, false, false, false},
		{"as of its time the chain does not hold yet", 2 * hour, 2 * hour, hour / 2, false, false, false},
		{"before the image was built", 2 * hour, 2 * hour, -hour, false, false, false},
		{"1970", -50 * 365 * day, -50 * 365 * day, 2 * hour, true, true, true},
		{"ahead beyond belief, by itself", 200 * 365 * day, 200 * 365 * day, 2 * hour, true, true, false},
		{"ahead by a plausible span, by itself", 31 * day, 31 * day, 2 * hour, false, false, false},
		{"an hour ahead, by itself: not turned back", 3 * hour, 3 * hour, 2 * hour, false, false, false},
		{"set ahead", 31 * day, 2 * hour, 2 * hour, true, true, false},
		{"set ahead, a little before the AC's", 31 * day, 2*hour + 4*minute, 2 * hour, true, true, false},
		{"set ahead: not turned back further", 31 * day, 2*hour + 6*minute, 2 * hour, true, false, false},
		{"set ahead from behind the chain", 31 * day, hour / 2, 2 * hour, true, true, false},
		{"set ahead after the chain had expired", 32 * day, 31 * day, 2 * hour, false, false, false},
		{"set ahead from 1970", 31 * day, -50 * 365 * day, 2 * hour, false, false, false},
		{"set back from beyond belief", 31 * day, 200 * 365 * day, 2 * hour, false, false, false},
	} {
		ours := reading(c.now, c.untouched)
		if _, doubtful, _ := Judge(certs, pinned, ours, built); doubtful != c.doubtful {
			t.Errorf("%s: doubtful %v", c.name, doubtful)
		}
		if err := Believe(certs, pinned, built.Add(c.said), ours, built); (err == nil) != c.believed || err != nil && !errors.Is(err, api.ErrNotAC) {
			t.Errorf("%s: believed %v: %v", c.name, err == nil, err)
		}
		later := c.said > c.now+api.Backdate
		move, err := Behind(certs, pinned, built.Add(c.said), ours, built)
		if move != c.move || (err != nil) != (later && !c.believed) {
			t.Errorf("%s: to be set forward %v: %v", c.name, move, err)
		}
	}
}
