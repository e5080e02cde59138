package sim

import (
	"fmt"
	"time"

	"github.com/g8os/g8os/core/api"
)

// SetGrace says how far a node may unlock without an AC (g8os grace set): for a
// time and a number of boots; 0 of both: not at all.
func (w *World) SetGrace(name string, d time.Duration, boots int) error {
	k, err := w.find(name)
	if err != nil {
		return err
	}
	i, err := w.ac()
	if err != nil {
		return fmt.Errorf("grace of %s: %w", name, err)
	}
	err = w.acs[i].SetGrace(w.idOf(k.Name()), api.Grace{ForMS: d.Milliseconds(), Boots: boots})
	w.changed()
	return err
}

// Open says whether the private volume of a node is.
func (w *World) Open(name string) bool {
	k := w.byName[name]
	return k != nil && k.Open()
}
