package alarm

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/monitor/measure"
)

// Reading is one figure of a machine.
type Reading struct {
	Measure Measure
	Subject string // which mount or sensor; empty: there is one only
	Value   float64
}

// Readings are what rules can be about, of a sample and what was made of it.
// off is how far the clock is from the AC's; nil: nobody knows. What is
// read-only cannot be filled, and is left out.
func Readings(s measure.Sample, m api.Metrics, off *time.Duration) []Reading {
	var list []Reading
	percent := func(what Measure, subject string, used, total int64) {
		if total > 0 {
			list = append(list, Reading{what, subject, 100 * min(max(float64(used)/float64(total), 0), 1)})
		}
	}
	for _, f := range s.FileSystems {
		if !f.ReadOnly {
			percent(Disk, f.Path, f.Used, f.Total)
			percent(Inodes, f.Path, f.InodesUsed, f.Inodes)
		}
	}
	percent(Memory, "", m.MemUsed, m.MemTotal)
	percent(Swap, "", s.SwapUsed, s.Swap)
	list = append(list, Reading{CPU, "", 100 * m.CPU}, Reading{Load, "", m.Load1 / float64(max(s.Cores, 1))})
	if off != nil {
		list = append(list, Reading{Clock, "", math.Abs(off.Seconds())})
	}
	for sensor, degrees := range s.Temperatures {
		list = append(list, Reading{Temperature, sensor, degrees})
	}
	slices.SortStableFunc(list, func(a, b Reading) int {
		return strings.Compare(string(a.Measure)+a.Subject, string(b.Measure)+b.Subject)
	})
	return list
}
