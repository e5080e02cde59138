package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/g8os/g8os/core/api"
)

// figure is one series of each node.
type figure struct {
	name, help string
	kind       prometheus.ValueType
	of         func(api.Metrics) float64
}

var figures = []figure{
	{"node_cpu_ratio", "Share of all cores of the node that was busy, 0 to 1.", prometheus.GaugeValue, func(m api.Metrics) float64 { return m.CPU }},
	{"node_memory_bytes", "Memory of the node.", prometheus.GaugeValue, func(m api.Metrics) float64 { return float64(m.MemTotal) }},
	{"node_memory_used_bytes", "Of it, what the kernel cannot drop.", prometheus.GaugeValue, func(m api.Metrics) float64 { return float64(m.MemUsed) }},
	{"node_disk_bytes", "Size of the file system of the node's state.", prometheus.GaugeValue, func(m api.Metrics) float64 { return float64(m.DiskTotal) }},
	{"node_disk_used_bytes", "Of it, what is used.", prometheus.GaugeValue, func(m api.Metrics) float64 { return float64(m.DiskUsed) }},
	{"node_net_received_bytes_total", "What all cards of the node have received since it booted.", prometheus.CounterValue, func(m api.Metrics) float64 { return float64(m.NetIn) }},
	{"node_net_sent_bytes_total", "What all cards of the node have sent since it booted.", prometheus.CounterValue, func(m api.Metrics) float64 { return float64(m.NetOut) }},
	{"node_load", "Load average of the node over a minute.", prometheus.GaugeValue, func(m api.Metrics) float64 { return m.Load1 }},
	{"node_processes", "Processes of the node.", prometheus.GaugeValue, func(m api.Metrics) float64 { return float64(m.Processes) }},
	{"node_services", "Services of the node that run.", prometheus.GaugeValue, func(m api.Metrics) float64 { return float64(m.Services) }},
	{"node_services_failed", "Services of the node that should run and do not.", prometheus.GaugeValue, func(m api.Metrics) float64 { return float64(m.Failed) }},
	{"node_jobs", "Jobs that the node runs.", prometheus.GaugeValue, func(m api.Metrics) float64 { return float64(m.Jobs) }},
	{"node_alarms", "Alarms of the node that are raised.", prometheus.GaugeValue, func(m api.Metrics) float64 { return float64(m.Alarms) }},
}

// Nodes adds one series of each figure for each node that read names. read has
// to bound their number, and that of their names.
func (m *Metrics) Nodes(read func(context.Context) []api.NodeMetrics) {
	n := &nodes{read: read, info: desc("node_info", "Always 1: what the node calls itself.", "node", "name")}
	for _, f := range figures {
		n.descs = append(n.descs, desc(f.name, f.help, "node"))
	}
	m.registry.MustRegister(n)
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

type nodes struct {
	read  func(context.Context) []api.NodeMetrics
	info  *prometheus.Desc
	descs []*prometheus.Desc // one for each figure
}

// Describe implements prometheus.Collector.
func (n *nodes) Describe(out chan<- *prometheus.Desc) {
	out <- n.info
	for _, d := range n.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (n *nodes) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for _, node := range n.read(ctx) {
		id := string(node.Node)
		out <- prometheus.MustNewConstMetric(n.info, prometheus.GaugeValue, 1, id, node.Name)
		for i, f := range figures {
			out <- prometheus.MustNewConstMetric(n.descs[i], f.kind, f.of(node.Metrics), id)
		}
	}
}
