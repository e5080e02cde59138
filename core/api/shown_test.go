package api

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// Key material does not reach text or logs, however it is wrapped.
func TestSecretsStayOutOfLogs(t *testing.T) {
	secret := Secret("0123456789abcdef")
	u := Unlocked{NodeID: "020000000001", Shares: []Share{{Generation: 1, Share: secret}}, Recovery: secret}
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("granted", "unlocked", u, "pointer", &u, "share", u.Shares[0], "claim", Claim{Token: secret}, "secret", secret)
	}
	fmt.Fprintf(&out, "%v %+v %#v %x %s %q", u, u, u, u.Shares[0], secret, secret)
	for _, form := range []string{"0123456789abcdef", "MDEyMzQ1Njc4OWFiY2RlZg", "30313233", "48 49 50"} {
		if strings.Contains(out.String(), form) {
			t.Errorf("a key is in the output as %q:\n%s", form, &out)
		}
	}
}

func TestShown(t *testing.T) {
	w := Whereabouts{Phase: "managed\x1b[2J", Way: strings.Repeat("x", 1000), Interface: "a\nb", Address: "fe80::1/64"}
	want := Whereabouts{Phase: "managed?[2J", Way: strings.Repeat("x", 64), Interface: "a?b", Address: "fe80::1/64"}
	if got := w.Shown(); got != want {
		t.Errorf("shown as %+v, want %+v", got, want)
	}
	if got := Shown("grün", 3); got != "gr?" {
		t.Errorf("cut in a letter: %q", got)
	}
}
