// Package monitor measures the machine it runs on: what it is (Facts), what
// uses it (Top), how it is in a few figures all the time, and when something
// is alarming.
//
//	/proc, /sys, statfs ──▶ Reader ──▶ measure (two samples → figures)
//	                                     │
//	          alarms.toml ──▶ alarm ◀────┤──▶ Metrics, for the AC
//	                            └──▶ events
//
// It promises that what cannot be read is left out and stops nothing, that no
// file system of another machine or process is asked, that no program is run but
// for its version, and that watching costs well below a thousandth of a core.
// Arguments of programs are not in what it says: they may be secret. What
// decides is in measure and alarm.
package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/core/monitor/alarm"
	"github.com/g8os/g8os/core/monitor/measure"
)

// Options of a Monitor. Only Log must be set.
type Options struct {
	Paths Paths
	Rules string // alarms.toml, which need not be there; empty: the defaults count
	// Note takes an alarm that is raised or cleared, as an event (jobs.Note). It must not block.
	Note  func(level int, source, text string, detail json.RawMessage)
	Off   func() *time.Duration // how far the clock is from the AC's; nil: nobody knows
	Count func(*api.Metrics)    // adds what others know: services, jobs
	Every time.Duration         // between two samples; default api.MetricsEvery
	Log   *slog.Logger
}

// Monitor watches a machine.
type Monitor struct {
	opt    Options
	reader *Reader
	alarms *alarm.Machine
	before measure.Sample
	stamp  string // of the rules' file as it was read last
	failed string // what could not be read, as it was logged last
	last   atomic.Pointer[api.Metrics]
}

// New makes a Monitor. Run has to be called too.
func New(o Options) *Monitor {
	if o.Every == 0 {
		o.Every = api.MetricsEvery
	}
	return &Monitor{opt: o, alarms: alarm.New(alarm.Defaults())}
}

// Metrics is what was measured last; nil before the first sample.
func (m *Monitor) Metrics() *api.Metrics { return m.last.Load() }

// Run watches until ctx ends.
func (m *Monitor) Run(ctx context.Context) {
	tick := time.NewTicker(m.opt.Every)
	defer tick.Stop()
	for {
		m.look()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look takes one sample, and what follows from it.
func (m *Monitor) look() {
	if m.reader == nil { // as long as there is no /proc nothing can be measured
		r, err := NewReader(m.opt.Paths)
		if m.say(err); err != nil {
			return
		}
		m.reader = r
	}
	now, err := m.reader.Sample()
	m.say(err)
	figures := measure.Metrics(m.before, now)
	m.before = now
	if m.opt.Count != nil {
		m.opt.Count(&figures)
	}
	var off *time.Duration
	if m.opt.Off != nil {
		off = m.opt.Off()
	}
	changes := append(m.readRules(), m.alarms.Step(alarm.Readings(now, figures, off), now.At)...)
	figures.Alarms = m.alarms.Raised()
	m.last.Store(&figures)
	for _, c := range changes {
		m.note(c)
	}
}

// say logs what could not be read, once.
func (m *Monitor) say(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != m.failed && text != "" {
		m.opt.Log.Warn("not all of this machine can be measured", "error", err)
	}
	m.failed = text
}

// note tells of an alarm.
func (m *Monitor) note(c alarm.Change) {
	m.opt.Log.Warn("alarm", "alarm", c.Rule.Name, "raised", c.Raised, "text", c.Text())
	if m.opt.Note == nil {
		return
	}
	detail, err := json.Marshal(struct {
		Raised  bool    `json:"raised"`
		Measure string  `json:"measure"`
		Subject string  `json:"subject,omitempty"`
		Value   float64 `json:"value"`
		Above   float64 `json:"above"`
	}{c.Raised, string(c.Rule.Measure), c.Subject, c.Value, c.Rule.Above})
	if err != nil {
		m.opt.Log.Error("alarm without its detail", "alarm", c.Rule.Name, "error", err)
	}
	m.opt.Note(c.Rule.Level, "alarm:"+c.Rule.Name, c.Text(), detail)
}

// readRules reads the rules again if their file is another one than before. As
// long as it cannot be read, or is wrong, the rules are as they were.
func (m *Monitor) readRules() []alarm.Change {
	if m.opt.Rules == "" {
		return nil
	}
	stamp := "none"
	st, err := os.Stat(m.opt.Rules)
	switch {
	case err == nil:
		stamp = st.ModTime().String() + time.Duration(st.Size()).String()
	case !errors.Is(err, fs.ErrNotExist):
		return nil
	case m.stamp == "":
		return nil // not there yet: the volume may be closed
	}
	if stamp == m.stamp {
		return nil
	}
	m.stamp = stamp
	rules := alarm.Defaults()
	if err == nil {
		text, err := os.ReadFile(m.opt.Rules)
		if err == nil {
			rules, err = alarm.Parse(m.opt.Rules, text)
		}
		if err != nil {
			m.wrong(err)
			return nil
		}
		m.opt.Log.Info("rules of alarms read", "file", m.opt.Rules, "rules", len(rules))
	}
	return m.alarms.SetRules(rules)
}

// wrong tells of a file that cannot be used.
func (m *Monitor) wrong(err error) {
	m.opt.Log.Warn("rules of alarms stay as they were", "error", err)
	if m.opt.Note != nil {
		m.opt.Note(api.LevelWarning, "core", "rules of alarms stay as they were: "+err.Error(), nil)
	}
}
