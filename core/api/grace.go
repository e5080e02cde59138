package api

import (
	"errors"
	"fmt"
	"time"
)

// PathGrace says whether a node may unlock without an AC: POST Grace, DELETE;
// both answer Node.
const PathGrace = "/api/nodes/{id}/grace"

// Grace lets a node open its volume without an AC: for a time after it last had a
// session with one, and for a number of boots since then. It trades: whoever
// steals the disk, of a machine with a TPM the whole machine, can do so too. The
// zero value is off.
type Grace struct {
	ForMS int64 `json:"for_ms"`
	Boots int   `json:"boots"`
}

// Bounds of a Grace.
const (
	MinGrace      = time.Minute
	MaxGrace      = 30 * 24 * time.Hour
	MaxGraceBoots = 100
)

// ErrGrace is wrapped when a Grace is none that a node can have.
var ErrGrace = errors.New("no grace that a node can have")

// On says whether there is one.
func (g Grace) On() bool { return g != Grace{} }

// For is how long it lasts after the last session.
func (g Grace) For() time.Duration { return time.Duration(g.ForMS) * time.Millisecond }

// Valid says what is wrong with it. One that is off is valid.
func (g Grace) Valid() error {
	switch {
	case !g.On():
		return nil
	case g.ForMS < MinGrace.Milliseconds() || g.ForMS > MaxGrace.Milliseconds():
		return fmt.Errorf("%w: it lasts for %s, want %s to %s", ErrGrace, g.For(), MinGrace, MaxGrace)
	case g.Boots < 1 || g.Boots > MaxGraceBoots:
		return fmt.Errorf("%w: for %d boots, want 1 to %d", ErrGrace, g.Boots, MaxGraceBoots)
	}
	return nil
}

func (g Grace) String() string {
	if !g.On() {
		return "off"
	}
	return fmt.Sprintf("%s, %d boots", g.For(), g.Boots)
}
