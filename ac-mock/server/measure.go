package server

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// gauges adds what can be looked up at any time.
func (s *Server) gauges() {
	m := s.opt.Metrics
	m.Gauge("sessions", "Nodes that have a session with this AC.", func() float64 { return float64(s.hub.Sessions()) })
	m.Gauge("jobs", "Jobs of the grid that have not ended, each counted for each of its nodes.", func() float64 { return float64(s.opt.Jobs.Waiting()) })
	m.Gauge("channels", "Shells, forwarded connections and files that are open.", func() float64 { return float64(s.channels.count()) })
	m.Gauge("connections", "Connections that are open.", func() float64 { open, _ := s.gate.counts(); return float64(open) })
	m.Gauge("connections_half_open", "Connections that have not proved anything yet.", func() float64 { _, half := s.gate.counts(); return float64(half) })
	m.Gauge("deciding", "Requests for keys and certificates that are being decided.", func() float64 { return float64(len(s.deciding)) })
	m.Gauge("faults_armed", "Faults that are armed.", func() float64 { return float64(len(s.opt.Faults.Names(s.opt.Clock()))) })
	m.Gauges("nodes", "Nodes that the grid knows, by state.", "state", s.nodesByState)
	m.Nodes(s.ownNodes)
	m.Gauge("events", "Events of nodes that are kept.", func() float64 { kept, _ := s.keptEvents(); return float64(kept) })
	m.Gauge("events_waiting", "Events of nodes that this AC has not written yet.", func() float64 { _, waiting := s.keptEvents(); return float64(waiting) })
}

func (s *Server) nodesByState(ctx context.Context) (map[string]float64, error) {
	list, err := s.opt.Registry.Nodes(ctx)
	count := map[string]float64{}
	for _, n := range list {
		count[string(n.State)]++
	}
	return count, err
}

// measured counts and times the requests of a path.
func (s *Server) measured(pattern string, h http.Handler) http.Handler {
	_, path, _ := strings.Cut(pattern, " ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		seen := &statusWriter{ResponseWriter: w}
		seen.told = func(status int) { s.opt.Metrics.Request(path, status, time.Since(began)) }
		h.ServeHTTP(seen, r)
		seen.tell(http.StatusOK)
	})
}

// statusWriter tells of the first status that is written.
type statusWriter struct {
	http.ResponseWriter
	told func(status int)
}

func (w *statusWriter) tell(status int) {
	if w.told != nil {
		w.told(status)
		w.told = nil
	}
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.tell(status)
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *statusWriter) Write(b []byte) (int, error) {
	w.tell(http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// bounded lets no more requests than Limits.Deciding wait for the registry. The
// others are told at once to come later: what they would wait for is the disk.
func (s *Server) bounded(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.deciding <- struct{}{}:
			defer func() { <-s.deciding }()
			h(w, r)
		default:
			s.opt.Metrics.Shed()
			later(w, errors.New("the AC has too much to decide now"))
		}
	}
}

// Retry-After is drawn, so that those who were told do not come back together.
const laterMin, laterMax = 1, 5 // seconds

// later tells a node to come again, or to ask another AC.
func later(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", strconv.Itoa(laterMin+rand.IntN(laterMax-laterMin+1)))
	fail(w, http.StatusServiceUnavailable, "try again, or another AC", err)
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	s.opt.Metrics.Handler().ServeHTTP(w, r)
}
