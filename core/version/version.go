// Package version says which build a binary is.
//
// It promises one version string and one build time for every binary of a
// build: those the linker was given (make build), else those the Go tool
// recorded about the checkout. The build time is the time of the commit, so
// that the same commit gives the same bytes; it is also the floor below which
// a node's clock is plainly wrong. It reads no clock and no file.
package version

import (
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

// Set by the linker: -X github.com/g8os/g8os/core/version.version=v1.2.3
// -X github.com/g8os/g8os/core/version.built=SECONDS.
var (
	version string
	built   string // seconds since 1970, UTC
)

// Version returns the version of this binary: what the linker was given, else
// the commit it was built from, else "devel".
func Version() string {
	if version != "" {
		return version
	}
	return recorded().version
}

// Built returns when the source of this binary was committed, in UTC; the zero
// time when nobody knows.
func Built() time.Time {
	if s, err := strconv.ParseInt(built, 10, 64); err == nil && s > 0 {
		return time.Unix(s, 0).UTC()
	}
	return recorded().built
}

type record struct {
	version string
	built   time.Time
}

var recorded = sync.OnceValue(func() record {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return record{version: "devel"}
	}
	return fromSettings(info.Settings)
})

// fromSettings reads what the Go tool stamps on a build inside a checkout.
func fromSettings(settings []debug.BuildSetting) record {
	r := record{version: "devel"}
	dirty := false
	for _, s := range settings {
		switch s.Key {
		case "vcs.revision":
			r.version = s.Value[:min(12, len(s.Value))]
		case "vcs.time":
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
				r.built = t.UTC()
			}
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty {
		r.version += "-dirty"
	}
	return r
}
