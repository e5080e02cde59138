package output

import (
	"slices"
	"time"
)

// recentMost bounds what is remembered of all jobs, in bytes.
const recentMost = 4 << 20

// recalled is a piece that was made durable a moment ago, and where its record is.
type recalled struct {
	Piece
	from, next int64
}

// cost is what it takes in memory, about.
func (r recalled) cost() int64 { return int64(len(r.Data)) + 256 }

// remember keeps pieces of a job that are durable now, so that who follows the
// job need not read them back; l.mu is held.
func (l *Log) remember(j *job, some []recalled) {
	if j.removed {
		return
	}
	for _, r := range some {
		r.Time = time.Unix(0, r.Time.UnixNano()).UTC() // as its record has it
		j.recent = append(j.recent, r)
		l.recent += r.cost()
		l.recalls = append(l.recalls, j)
	}
	for l.recent > recentMost {
		j := l.recalls[0]
		l.recalls = l.recalls[1:]
		if len(j.recent) > 0 { // else it was removed
			l.recent -= j.recent[0].cost()
			j.recent[0].Data = nil
			j.recent = j.recent[1:]
		}
	}
}

// forget gives up what is remembered of a job that is removed; l.mu is held.
func (l *Log) forget(j *job) {
	for _, r := range j.recent {
		l.recent -= r.cost()
	}
	j.recent = nil
	l.recalls = slices.DeleteFunc(l.recalls, func(x *job) bool { return x == j })
}

// recall returns the pieces of a job from a position on, if the one there is
// remembered.
func (l *Log) recall(j *job, from int64) []recalled {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := slices.BinarySearchFunc(j.recent, from, func(r recalled, at int64) int { return int(r.from - at) })
	if !ok {
		return nil
	}
	return slices.Clone(j.recent[i:])
}
