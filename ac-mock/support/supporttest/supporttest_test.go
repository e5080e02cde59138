package supporttest

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// A secret is found in every form in which one is written by accident.
func TestForms(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789ABCDEF")
	for _, text := range []string{
		"key=" + string(secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret),
		base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(append([]byte("a"), secret...)),
		base64.StdEncoding.EncodeToString(append([]byte("ab"), secret...)),
	} {
		found := false
		for _, form := range Forms(secret) {
			found = found || strings.Contains(text, form)
		}
		if !found {
			t.Errorf("not found in %q", text)
		}
	}
}
