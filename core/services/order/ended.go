package order

import (
	"cmp"
	"fmt"
	"time"
)

// ended leads from starting, ready, running and ending to where a service is
// when its process is gone.
func (m *Machine) ended(now time.Time, s *service, x Exit) {
	if !s.Phase.Alive() {
		return
	}
	steady := s.Phase == Ready && now.Sub(s.Since) >= s.decl.MaxPause
	asked, late, again := s.Phase == Ending && !s.late, s.late, s.again
	s.late, s.again = false, false
	why := cmp.Or(x.Why, "ended by itself")
	if late {
		why = s.Why
	}
	before := s.Last
	if x.Unmet && !asked && !late && !again && m.may(s, nil) {
		s.to(now, Unmet, x.Why)
		s.Next = now.Add(s.decl.MaxPause)
		s.Starts = s.Starts[:max(0, len(s.Starts)-1)] // that was none
		return
	}
	s.Last = &Result{Started: s.Began, Ended: now, Known: x.Known, Code: x.Code, Why: why}
	switch {
	case m.stopping || s.Stopped || s.removed:
		s.to(now, Stopped, "")
	case again || asked:
		s.to(now, Waits, "")
	case s.decl.Recurs != nil:
		m.schedule(now, s, before)
	case x.ok() && !late && (s.decl.Oneshot || s.decl.Restart != Always):
		s.to(now, Done, "")
	case s.decl.Restart == Never:
		m.fail(now, s, why)
	default:
		m.rest(now, s, why, steady)
	}
}

// schedule leads to scheduled.
func (m *Machine) schedule(now time.Time, s *service, before *Result) {
	bad := !s.Last.Known || s.Last.Code != 0
	why := ""
	if bad {
		why = s.Last.Why
	}
	s.to(now, Scheduled, why)
	s.Next = s.decl.Recurs.Next(now)
	if bad && (before == nil || before.Known && before.Code == 0) {
		m.note(s, LevelWarning, "a run has failed: "+why)
	}
}

// rest leads to resting, or to failed where it would be started too often.
func (m *Machine) rest(now time.Time, s *service, why string, steady bool) {
	if steady {
		s.Pause = 0
	}
	pause := min(max(2*s.Pause, s.decl.MinPause), s.decl.MaxPause)
	next := now.Add(pause)
	if s.decl.MaxStarts > 0 && len(since(s.Starts, next.Add(-s.decl.Within))) >= s.decl.MaxStarts {
		m.fail(now, s, fmt.Sprintf("started %d times within %v, the last time: %s", s.decl.MaxStarts, s.decl.Within, why))
		return
	}
	switch {
	case s.Pause == 0:
		m.note(s, LevelWarning, fmt.Sprintf("has ended and is started again in %v: %s", pause, why))
	case s.Pause < s.decl.MaxPause && pause == s.decl.MaxPause:
		m.note(s, LevelError, fmt.Sprintf("ends again and again, and is started every %v: %s", pause, why))
	}
	s.Pause = pause
	s.Restarts++
	s.to(now, Resting, why)
	s.Next = next
}

// fail leads to failed.
func (m *Machine) fail(now time.Time, s *service, why string) {
	s.to(now, Failed, why)
	m.note(s, LevelError, "has failed, and is left alone until told otherwise: "+why)
}

func (m *Machine) note(s *service, level int, text string) {
	m.effects = append(m.effects, Effect{Kind: Note, Name: s.decl.Name, Level: level, Text: text})
}
