package api

import (
	"bytes"
	"strings"
	"testing"
)

func TestRecoveryText(t *testing.T) {
	key := Secret(bytes.Repeat([]byte{0xa7, 0x01, 0xff, 0x3c}, 8))
	text := FormatRecovery(key)
	if len(text) != 14*5-1 || strings.Count(text, "-") != 13 {
		t.Errorf("written as %q", text)
	}
	for _, typed := range []string{text, strings.ToLower(text), strings.ReplaceAll(text, "-", ""), " " + strings.ReplaceAll(text, "-", " ") + "\n"} {
		if got, err := ParseRecovery(typed); err != nil || !bytes.Equal(got, key) {
			t.Errorf("%q is read as %x, %v", typed, []byte(got), err)
		}
	}
	for i, c := range text {
		for _, other := range "AB7" {
			if c == '-' || c == other {
				continue
			}
			if got, err := ParseRecovery(text[:i] + string(other) + text[i+1:]); err == nil && !bytes.Equal(got, key) {
				t.Errorf("with a wrong letter at %d it is another key", i)
			}
		}
	}
	for _, bad := range []string{"", text[:10], text + "A", strings.Replace(text, text[:1], "1", 1)} {
		if _, err := ParseRecovery(bad); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
