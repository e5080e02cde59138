package find

import (
	"net/http"
	"testing"
	"time"
)

// Retry-After is believed in seconds, and up to a bound.
func TestRetryAfter(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "0": 0, "-1": 0, "3.5": 0, "60000": longestAfter, "99999999": 0, "Wed, 21 Oct 2030 07:28:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
