package ledger

import (
	"slices"
	"strings"
	"unicode"

	"github.com/g8os/g8os/core/api"
)

const (
	// KeptEvents is how many events wait for an AC at most: beyond it, the oldest
	// of the lowest level goes.
	KeptEvents = 1000
	// maxEventText and maxEventDetail bound an event, in bytes.
	maxEventText   = api.MaxEventText
	maxEventDetail = api.MaxEventDetail
	maxEventSource = 128
)

// events are those that the AC has not acknowledged, oldest first.
type events struct {
	kept []api.NodeEvent
	last uint64 // number of the newest that ever was
	safe uint64 // number up to which they are on the disk
	sent uint64 // number up to which this session has sent them
}

func (e *events) next() (api.Frame, bool) {
	i, _ := slices.BinarySearchFunc(e.kept, e.sent+1, bySeq)
	// Those before it are on their way: the AC takes no more than so many at a time.
	if i == len(e.kept) || e.kept[i].Seq > e.safe || i >= api.MaxEvents {
		return api.Frame{}, false
	}
	ev := e.kept[i]
	e.sent = ev.Seq
	return api.Frame{Type: api.FrameEvent, Seq: ev.Seq, Event: &ev}, true
}

func bySeq(e api.NodeEvent, seq uint64) int {
	switch {
	case e.Seq < seq:
		return -1
	case e.Seq > seq:
		return 1
	}
	return 0
}

// Note numbers an event and takes it in. It is sent once EventsSafe says that
// it is on the disk. dropped is the number of one that had to go for it, 0: none.
func (l *Ledger) Note(ev api.NodeEvent) (noted api.NodeEvent, dropped uint64) {
	e := &l.events
	e.last++
	ev.Seq = e.last
	ev.Source = api.Shown(ev.Source, maxEventSource)
	ev.Text = line(ev.Text)
	if len(ev.Detail) > maxEventDetail {
		ev.Detail = nil
	}
	e.kept = append(e.kept, ev)
	if len(e.kept) > KeptEvents {
		at := 0
		for i, x := range e.kept {
			if severity(x.Level) < severity(e.kept[at].Level) {
				at = i
			}
		}
		dropped = e.kept[at].Seq
		e.kept = slices.Delete(e.kept, at, at+1)
	}
	return ev, dropped
}

// line makes one line of a text, fit to be shown.
func line(text string) string {
	shown := func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}
	return strings.Map(shown, strings.ToValidUTF8(text[:min(len(text), maxEventText)], "?"))
}

// severity orders levels: only those that warn are ordered by their number.
func severity(level int) int {
	if level < api.LevelWarning || level > api.LevelCritical {
		return 0
	}
	return level
}

// RestoreEvent takes in an event of an earlier run, in the order of their
// numbers.
func (l *Ledger) RestoreEvent(ev api.NodeEvent) {
	l.events.kept = append(l.events.kept, ev)
	l.events.last = max(l.events.last, ev.Seq)
	l.events.safe = l.events.last
}

// EventsSafe tells that the events up to a number are on the disk.
func (l *Ledger) EventsSafe(seq uint64) { l.events.safe = max(l.events.safe, seq) }

// AckEvents takes the AC's word that it has the events up to a number, and
// returns the numbers of those that may be forgotten.
func (l *Ledger) AckEvents(seq uint64) (gone []uint64) {
	e := &l.events
	n := 0
	for n < len(e.kept) && e.kept[n].Seq <= min(seq, e.safe) {
		gone = append(gone, e.kept[n].Seq)
		n++
	}
	e.kept = slices.Delete(e.kept, 0, n)
	return gone
}
