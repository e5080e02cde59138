// Package metrics counts what an AC does, under the names that METRICS.md
// documents, for Prometheus.
//
// It promises that a name which is exposed is documented and the other way
// round (a test compares them), that labels have few values whatever clients
// send, and that counting never blocks. It decides nothing and reads nothing by
// itself: what can be looked up is asked for when somebody looks.
package metrics

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

// Metrics is what one AC counts. All methods may be called concurrently.
type Metrics struct {
	registry *prometheus.Registry

	refused    *prometheus.CounterVec
	handshakes *prometheus.HistogramVec
	requests   *prometheus.HistogramVec
	shed       prometheus.Counter
	opened     prometheus.Counter
	ended      *prometheus.CounterVec
	frames     *prometheus.CounterVec
	stored     *prometheus.HistogramVec
}

// fast are the bounds, in seconds, of what should take milliseconds.
var fast = []float64{.0005, .001, .002, .005, .01, .02, .03, .05, .1, .2, .5, 1, 2, 5, 10}

// New makes the metrics of an AC, with those of its process and of Go.
func New(grid, ac, version string) *Metrics {
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		refused:    counters("connections_refused_total", "Connections that were reset before or after their handshake, by reason.", "reason"),
		handshakes: histograms("handshake_seconds", "TLS handshakes, the wait for a turn included, by result.", "result"),
		requests:   histograms("request_seconds", "Requests until their answer; streams and sessions until they stand, by path and status.", "path", "status"),
		shed:       prometheus.NewCounter(opts("requests_shed_total", "Requests of nodes that were told to come later (503 with Retry-After).")),
		opened:     prometheus.NewCounter(opts("sessions_opened_total", "Sessions of nodes that were opened.")),
		ended:      counters("sessions_ended_total", "Sessions of nodes that ended, by why.", "why"),
		frames:     counters("frames_total", "Frames that nodes sent over their sessions, by type.", "type"),
		stored:     histograms("store_seconds", "Operations of the store, by operation and result.", "op", "result"),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("build_info", "Always 1: what runs here.")), []string{"grid", "ac", "version"})
	build.WithLabelValues(grid, ac, version).Set(1)
	m.registry.MustRegister(m.refused, m.handshakes, m.requests, m.shed, m.opened, m.ended, m.frames, m.stored, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

const namespace = "g8os_ac"

func opts(name, help string) prometheus.CounterOpts {
	return prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(opts(name, help), labels)
}

func histograms(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: fast}, labels)
}

// Gauge adds a value that is asked for whenever somebody looks. A name is
// given once.
func (m *Metrics) Gauge(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts(name, help)), read))
}

// Gauges adds a value for each value of a label. What cannot be read is left out.
func (m *Metrics) Gauges(name, help, label string, read func(context.Context) (map[string]float64, error)) {
	m.registry.MustRegister(&several{prometheus.NewDesc(namespace+"_"+name, help, []string{label}, nil), read})
}

type several struct {
	desc *prometheus.Desc
	read func(context.Context) (map[string]float64, error)
}

// Describe implements prometheus.Collector.
func (s *several) Describe(out chan<- *prometheus.Desc) { out <- s.desc }

// Collect implements prometheus.Collector.
func (s *several) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	values, err := s.read(ctx)
	if err != nil {
		return
	}
	for label, v := range values {
		out <- prometheus.MustNewConstMetric(s.desc, prometheus.GaugeValue, v, label)
	}
}

// Refused counts a connection that was not let in.
func (m *Metrics) Refused(reason string) { m.refused.WithLabelValues(reason).Inc() }

// Handshake counts one that has ended.
func (m *Metrics) Handshake(result string, took time.Duration) {
	m.handshakes.WithLabelValues(result).Observe(took.Seconds())
}

// Request counts an answered request. path is the pattern that it matched.
func (m *Metrics) Request(path string, status int, took time.Duration) {
	m.requests.WithLabelValues(path, strconv.Itoa(status)).Observe(took.Seconds())
}

// Shed counts a request that was told to come later.
func (m *Metrics) Shed() { m.shed.Inc() }

// SessionOpened counts a session.
func (m *Metrics) SessionOpened() { m.opened.Inc() }

// SessionEnded counts the end of one.
func (m *Metrics) SessionEnded(why string) { m.ended.WithLabelValues(why).Inc() }

// Frame counts a frame of a node. kind is one that the AC knows.
func (m *Metrics) Frame(kind string) { m.frames.WithLabelValues(kind).Inc() }

// Handler serves the metrics in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
}

// Text is all metrics as they are now, in the same format.
func (m *Metrics) Text() ([]byte, error) {
	families, err := m.registry.Gather()
	var out bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&out, f); err != nil {
			return nil, fmt.Errorf("write metrics: %w", err)
		}
	}
	return out.Bytes(), err
}
