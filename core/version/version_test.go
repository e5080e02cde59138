package version

import (
	"runtime/debug"
	"testing"
	"time"
)

func TestLinkerWins(t *testing.T) {
	defer func(v, b string) { version, built = v, b }(version, built)
	version, built = "v1.2.3", "1700000000"
	if got := Version(); got != "v1.2.3" {
		t.Errorf("Version() = %q, want v1.2.3", got)
	}
	if got, want := Built(), time.Unix(1700000000, 0); !got.Equal(want) {
		t.Errorf("Built() = %v, want %v", got, want)
	}
}

func TestDamagedBuildTimeIsIgnored(t *testing.T) {
	defer func(b string) { built = b }(built)
	for _, b := range []string{"", "yesterday", "-5", "0"} {
		built = b
		if got, want := Built(), recorded().built; !got.Equal(want) {
			t.Errorf("built=%q: Built() = %v, want %v", b, got, want)
		}
	}
}

func TestFromSettings(t *testing.T) {
	for name, c := range map[string]struct {
		in      []debug.BuildSetting
		version string
		built   string
	}{
		"nothing known": {nil, "devel", "0001-01-01T00:00:00Z"},
		"a commit": {[]debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef0123"},
			{Key: "vcs.time", Value: "2026-11-20T10:00:00+01:00"},
		}, "0123456789ab", "2026-11-20T09:00:00Z"},
		"a changed checkout": {[]debug.BuildSetting{
			{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: "abc"},
		}, "abc-dirty", "0001-01-01T00:00:00Z"},
		"a bad time": {[]debug.BuildSetting{{Key: "vcs.time", Value: "noon"}}, "devel", "0001-01-01T00:00:00Z"},
	} {
		got := fromSettings(c.in)
		if got.version != c.version || got.built.Format(time.RFC3339) != c.built {
			t.Errorf("%s: got %q %s, want %q %s", name, got.version, got.built.Format(time.RFC3339), c.version, c.built)
		}
	}
}
