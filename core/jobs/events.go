package jobs

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/jobs/inband"
)

// earlyEvents is how many events are kept before Open.
const earlyEvents = 100

// Note keeps an event of the node, on the disk soon, and has it sent to the AC
// until that has it. source is job:ID, service:NAME, alarm:NAME or core; text is
// one line; detail may be nil. It does not wait, and never fails: of too many
// events, the oldest of the lowest level goes.
func (j *Jobs) Note(level int, source, text string, detail json.RawMessage) {
	ev := api.NodeEvent{Time: time.Now(), Level: level, Source: source, Text: text, Detail: detail}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.spool == nil {
		if len(j.early) < earlyEvents {
			j.early = append(j.early, ev)
		}
		return
	}
	j.note(ev)
}

// note has j.mu.
func (j *Jobs) note(ev api.NodeEvent) {
	ev, dropped := j.ledger.Note(ev)
	if dropped > 0 {
		j.log.Warn("an event is dropped: the AC does not take them and there are too many", "number", dropped)
	}
	if j.leaving { // it is in the spool's hands, which is about to close
		j.spool.KeepEvent(ev, dropped)
		return
	}
	kept := j.spool.KeepEvent(ev, dropped)
	j.done.Go(func() {
		_ = kept() // a disk that takes nothing is said where jobs are kept
		j.mu.Lock()
		defer j.mu.Unlock()
		j.ledger.EventsSafe(ev.Seq)
		j.changed.Broadcast()
	})
}

const (
	// eventRate is how many events a job may cause in a second.
	eventRate = 10
	// eventText bounds the text of one, in bytes.
	eventText = 1024
)

// heed makes events of what a job says in-band.
type heed struct {
	jobs    *Jobs
	source  string
	parsers [2]*inband.Parser
	since   time.Time
	count   int
	more    int // that were too many
}

func newHeed(j *Jobs, id string) *heed {
	return &heed{jobs: j, source: "job:" + id, parsers: [2]*inband.Parser{inband.New(api.LevelStdout), inband.New(api.LevelStderr)}}
}

func (h *heed) take(stream byte, data []byte) {
	h.parsers[stream-1].Write(data, h.message)
}

func (h *heed) message(m inband.Message) {
	if m.Level < api.LevelWarning || m.Level > api.LevelCritical {
		return
	}
	now := time.Now()
	if now.Sub(h.since) >= time.Second {
		h.sayMore()
		h.since, h.count = now, 0
	}
	if h.count++; h.count > eventRate {
		h.more++
		return
	}
	h.jobs.Note(m.Level, h.source, string(m.Text[:min(len(m.Text), eventText)]), nil)
}

func (h *heed) sayMore() {
	if h.more > 0 {
		h.jobs.Note(api.LevelWarning, h.source, fmt.Sprintf("%d more such lines are in its output only", h.more), nil)
		h.more = 0
	}
}

// end takes what had no end yet.
func (h *heed) end() {
	for _, p := range h.parsers {
		p.End(h.message)
	}
	h.sayMore()
}
