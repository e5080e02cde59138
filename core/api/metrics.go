package api

import (
	"math"
	"time"
)

// PathNodeMetrics is GET []NodeMetrics: what each node that has a session measured last.
const PathNodeMetrics = "/api/metrics/nodes"

// MetricsEvery is how often a node sends its Metrics: at once when a session
// begins, and then so often, at a moment of its own.
const MetricsEvery = 15 * time.Second

// Metrics is what a node measures of itself, for the AC's Prometheus page. All
// of it is of one moment.
type Metrics struct {
	CPU        float64 `json:"cpu"`        // of all cores, 0 to 1, since the last one
	MemTotal   int64   `json:"mem_total"`  // bytes
	MemUsed    int64   `json:"mem_used"`   // bytes, without what the kernel can drop
	DiskTotal  int64   `json:"disk_total"` // bytes, of the file system of its state
	DiskUsed   int64   `json:"disk_used"`
	NetIn      int64   `json:"net_in"`       // bytes since boot, all physical interfaces
	NetOut     int64   `json:"net_out"`      // bytes since boot
	NetInRate  float64 `json:"net_in_rate"`  // bytes a second, since the last one
	NetOutRate float64 `json:"net_out_rate"` // bytes a second
	Load1      float64 `json:"load1"`
	Processes  int     `json:"processes"`
	Services   int     `json:"services"`        // that run
	Failed     int     `json:"services_failed"` // that should and do not
	Jobs       int     `json:"jobs"`            // that run
	Alarms     int     `json:"alarms"`          // that are raised
}

// Bounds of what a node can be believed to have: an exbibyte, and some numbers
// that no machine reaches.
const (
	mostBytes = 1 << 60
	mostCount = 1 << 32
	mostLoad  = 1e6
)

// Shown returns m fit to be kept and shown: nobody has checked who says it, so
// that every figure is a number, not below 0, and not beyond what a machine can have.
func (m Metrics) Shown() Metrics {
	for _, f := range []struct {
		v    *float64
		most float64
	}{{&m.CPU, 1}, {&m.Load1, mostLoad}, {&m.NetInRate, mostBytes}, {&m.NetOutRate, mostBytes}} {
		if *f.v = min(max(*f.v, 0), f.most); math.IsNaN(*f.v) {
			*f.v = 0
		}
	}
	for _, n := range []*int64{&m.MemTotal, &m.MemUsed, &m.DiskTotal, &m.DiskUsed, &m.NetIn, &m.NetOut} {
		*n = min(max(*n, 0), mostBytes)
	}
	for _, n := range []*int{&m.Processes, &m.Services, &m.Failed, &m.Jobs, &m.Alarms} {
		*n = min(max(*n, 0), mostCount)
	}
	return m
}

// NodeMetrics is what a node measured last, as its AC has it.
type NodeMetrics struct {
	Node    NodeID    `json:"node"`
	Name    string    `json:"name"`
	AC      string    `json:"ac"`   // that the node has its session with
	Time    time.Time `json:"time"` // when that AC got it, by its clock
	Metrics Metrics   `json:"metrics"`
}
