package measure

import (
	"time"

	"github.com/g8os/g8os/core/api"
)

// Metrics is what a node tells its AC, of two samples one after the other. The
// zero Sample is a moment of which nothing is known.
func Metrics(before, after Sample) api.Metrics {
	over := between(before, after)
	m := api.Metrics{
		CPU:      share(after.CPUBusy-before.CPUBusy, after.CPUAll-before.CPUAll),
		MemTotal: after.MemTotal, MemUsed: after.MemUsed, Load1: after.Load1, Processes: after.Processes,
	}
	for _, f := range after.FileSystems {
		if f.State {
			m.DiskTotal, m.DiskUsed = f.Total, f.Used
		}
	}
	for _, t := range nets(before, after, over) {
		now := after.Nets[t.Name]
		if !now.Card {
			continue
		}
		m.NetIn += int64(now.In)
		m.NetOut += int64(now.Out)
		m.NetInRate += t.InRate
		m.NetOutRate += t.OutRate
	}
	return m.Shown()
}

// longest is the longest time between two samples of which a rate means
// something: a machine that slept for longer was not measured.
const longest = 24 * time.Hour

// between is the time between two samples, in seconds; 0: no rate can be had.
func between(before, after Sample) float64 {
	if over := after.At.Sub(before.At); over > 0 && over <= longest && !before.At.IsZero() {
		return over.Seconds()
	}
	return 0
}

// rate is how fast a counter grew, in its unit a second.
func rate(before, after uint64, over float64) float64 {
	if after < before || over <= 0 {
		return 0
	}
	return float64(after-before) / over
}

// spent is how many cores were used, of seconds of them.
func spent(before, after, over float64, cores int) float64 {
	if !(after > before) || over <= 0 {
		return 0
	}
	return min((after-before)/over, float64(max(cores, 1)))
}

// share is a part of a whole, 0 to 1.
func share(part, whole float64) float64 {
	if !(part > 0) || !(whole > 0) {
		return 0
	}
	return min(part/whole, 1)
}
